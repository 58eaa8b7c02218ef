import {
  defineProperty,
  headersAppend,
  headersForEach,
  iteratorKey,
  NativeHeaders,
} from "./primordials.ts";
import { eachOfLists } from "./unpatched.ts";

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
  return withOwnIterator(headers);
}

/**
 * Headers that are given to the browser: it reads them as it reads any list, by what the page may have
 * put in place to go through them, which would be handed the token.
 */
export function withOwnIterator(headers: Headers): Headers {
  defineProperty(headers, iteratorKey, {
    __proto__: null,
    configurable: true,
    value: () => eachOfLists(pairsOf(headers)),
  } as PropertyDescriptor);
  return headers;
}
