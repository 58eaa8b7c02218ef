/** Reads, also while it is being read; only what the reading begun last gives is shown. */
export function latest<Read>(
  read: () => Promise<Read>,
  show: (read: Read) => void,
): () => Promise<void> {
  let begun = 0;
  return async () => {
    begun += 1;
    const reading = begun;
    const result = await read();
    if (reading === begun) show(result);
  };
}
