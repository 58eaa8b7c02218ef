// Media requests leave from here with the access token, as in Element.
const tokens = new Map();
self.addEventListener("install", (event) => event.waitUntil(self.skipWaiting()));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("message", (event) => {
  if (event.data?.type === "token") tokens.set(event.data.origin, event.data.token);
  event.ports[0]?.postMessage("done");
});
self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const url = new URL(event.request.url);
  const token = tokens.get(url.origin);
  if (!token || !/\/_matrix\/media\/v3\/(download|thumbnail)\//.test(url.pathname)) return;
  url.pathname = url.pathname.replace("/_matrix/media/v3/", "/_matrix/client/v1/media/");
  event.respondWith(fetch(url, { headers: { Authorization: `Bearer ${token}` } }));
});
