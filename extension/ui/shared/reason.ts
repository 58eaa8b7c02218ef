/** What a person is told of something that did not work. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
