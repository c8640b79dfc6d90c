// The parts of a browser that modules of the page use when Node loads them, and a daemon whose answers a test gives.

globalThis.document = Object.assign(new EventTarget(), {
  baseURI: 'http://daemon.example/prefix/dashboard/',
  hidden: false,
});
globalThis.matchMedia = () => new EventTarget();
const stored = new Map();
globalThis.localStorage = {
  getItem: (name) => stored.get(name) ?? null,
  setItem: (name, text) => stored.set(name, text),
  removeItem: (name) => stored.delete(name),
};

export const PREFIX = 'http://daemon.example/prefix/';

/** A module of the page. */
export const load = (name) => import(`../../src/http/dashboard/assets/${name}`);

/** An answer in JSON. */
export const json = (value, status = 200) => new Response(JSON.stringify(value), { status });

/** A problem document, as the daemon writes it. */
export const problem = (status, slug = 'unavailable') =>
  json({ type: `/problems/${slug}`, title: slug, status, detail: 'said the daemon' }, status);

/** An answer whose body ends with an error before it is whole, as a cut connection does. */
export function cut(text = '{"a":') {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      controller.error(new TypeError('network error'));
    },
  });
  return new Response(body, { status: 200 });
}

/** Answers requests by `answer(path, options)`, with paths such as `v1/status?a=b`; the list gets all that are sent. */
export function serve(answer) {
  const sent = [];
  globalThis.fetch = async (address, options) => {
    const path = String(address).slice(PREFIX.length);
    sent.push({ path, ...options });
    return answer(path, options);
  };
  return sent;
}
