// Keeps what the page loads, so that it works offline, and adds the headers that threads need and static hosts do not send.
const FILES = [] // the build writes their names here

const HEADERS = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
}

self.oninstall = () => self.skipWaiting()

self.onactivate = (event) => event.waitUntil((async () => {
  const cache = await caches.open("ssnan"), current = new Set(FILES.map((name) => new URL(name, self.registration.scope).href))
  for (const request of await cache.keys()) {
    if (request.url.includes("/assets/") && !current.has(request.url)) await cache.delete(request)
  }
  await self.clients.claim()
})())

self.onfetch = (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(self.registration.scope)) event.respondWith(answer(event))
}

/** Files whose names change with their content come from the cache, others from the host while there is one. */
async function answer(event) {
  const {request} = event, cache = await caches.open("ssnan"), address = request.url.split(/[?#]/)[0]
  const kept = await cache.match(address)
  if (kept && address.includes("/assets/")) return kept
  try {
    const fresh = await fetch(request)
    if (!fresh.ok) return fresh
    const headers = new Headers(fresh.headers)
    for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value)
    const isolated = new Response(fresh.body, {status: fresh.status, headers})
    event.waitUntil(cache.put(address, isolated.clone()).catch(() => {}))  // the browser may have no room to keep it
    return isolated
  } catch (error) {
    if (kept) return kept
    throw error
  }
}
