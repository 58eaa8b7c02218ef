import { headersAppend, headersForEach, NativeHeaders } from "./primordials.ts";

/** Headers in order, repeated names included. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

export function pairsOf(headers: Headers): HeaderList {
  const pairs: [string, string][] = [];
  headersForEach(headers, (value, name) => {
    pairs[pairs.length] = [name, value];
  });
  return pairs;
}

/** Without the array's own iterator, which a page may have replaced. */
export function headersFrom(pairs: HeaderList): Headers {
  const headers = new NativeHeaders();
  for (let index = 0; index < pairs.length; index += 1) {
    const header = pairs[index] as HeaderList[number];
    headersAppend(headers, header[0], header[1]);
  }
  return headers;
}
