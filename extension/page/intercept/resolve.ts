import { baseUri, NativeURL, pageDocument, urlHref } from "../primordials/primordials.ts";

/** An absolute URL, normalised by the browser; throws where the browser would. */
export function resolve(url: string): string {
  return urlHref(new NativeURL(url, baseUri(pageDocument)));
}
