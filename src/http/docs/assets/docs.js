// Renders openapi.json. Text only ever enters the page as text nodes.

import { byId, el, prose } from "../dashboard/dom.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
/** How many schemas are unfolded within each other. */
const DEPTH = 6;

function paragraphs(text) {
  return (text ?? "").split("\n\n").filter(Boolean).map((part) => el("p", {}, prose(part)));
}

class Renderer {
  constructor(api) {
    this.api = api;
    this.base = api.servers?.[0]?.url ?? location.origin;
  }

  resolve(value) {
    const path = value?.$ref;
    if (!path?.startsWith("#/")) return value;
    const names = path.slice(2).split("/").map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
    return names.reduce((inside, name) => inside?.[name], this.api);
  }

  /** A schema in one phrase. */
  phrase(schema) {
    if (!schema || schema === true) return "anything";
    if (schema.$ref) return schema.$ref.split("/").pop();
    if (schema.oneOf || schema.anyOf) return (schema.oneOf ?? schema.anyOf).map((one) => this.phrase(one)).join(" or ");
    if (schema.allOf) return schema.allOf.filter((one) => one.$ref).map((one) => this.phrase(one)).join(" and ") || "object";
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    const types = [schema.type ?? "anything"].flat();
    const named = types.map((type) => (type === "array" ? `array of ${this.phrase(schema.items)}` : type)).join(" or ");
    const bounds = [
      schema.format,
      schema.minimum !== undefined ? `from ${schema.minimum}` : null,
      schema.maximum !== undefined ? `to ${schema.maximum}` : null,
      schema.minLength !== undefined ? `at least ${schema.minLength} characters` : null,
      schema.maxLength !== undefined ? `at most ${schema.maxLength} characters` : null,
      schema.pattern ? `like ${schema.pattern}` : null,
      schema.default !== undefined ? `default ${JSON.stringify(schema.default)}` : null,
      schema.enum ? `one of ${schema.enum.join(", ")}` : null,
    ].filter(Boolean);
    return bounds.length ? `${named} (${bounds.join(", ")})` : named;
  }

  /** The members of a schema, unfolded on demand. */
  schema(given, depth = DEPTH) {
    const schema = this.resolve(given);
    if (!schema || depth === 0) return null;
    const parts = schema.allOf ?? schema.oneOf ?? schema.anyOf;
    const inner = [];
    if (schema.items) inner.push(this.schema(schema.items, depth - 1));
    for (const part of parts ?? []) inner.push(this.schema(part, depth - 1));
    const members = Object.entries(schema.properties ?? {}).map(([name, member]) => {
      const optional = schema.required?.includes(name) ? "" : ", optional";
      const about = this.resolve(member)?.description ?? member.description;
      const head = [el("code", {}, name), ` ${this.phrase(member)}${optional}`, about ? ". " : "", prose(about)];
      const children = this.hasMembers(member) ? this.schema(member, depth - 1) : null;
      if (!children) return el("li", {}, head);
      return el("li", {}, el("details", {}, el("summary", {}, head), children));
    });
    if (members.length) inner.push(el("ul", { class: "schema" }, members));
    const shown = inner.filter(Boolean);
    return shown.length ? el("div", {}, shown) : null;
  }

  hasMembers(given) {
    const schema = this.resolve(given);
    return Boolean(schema?.properties || schema?.allOf || schema?.oneOf || (schema?.items && this.hasMembers(schema.items)));
  }

  example(media) {
    return media?.example ?? Object.values(media?.examples ?? {})[0]?.value;
  }

  content(content) {
    return Object.entries(content ?? {}).map(([kind, media]) => {
      const example = this.example(media);
      const text = typeof example === "string" ? example : JSON.stringify(example, null, 2);
      return el("div", {},
        el("p", {}, el("code", {}, kind), ` ${this.phrase(media.schema)}`),
        this.schema(media.schema),
        example === undefined ? null : el("pre", { tabindex: "0", "aria-label": "Example" }, text));
    });
  }

  curl(method, path, operation) {
    const quoted = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;
    const parameters = (operation.parameters ?? []).map((one) => this.resolve(one));
    let url = path;
    const query = [];
    for (const parameter of parameters) {
      const value = parameter.example;
      if (value === undefined) continue;
      if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, String(value).replaceAll(" ", "%20"));
      if (parameter.in === "query") query.push(`${parameter.name}=${encodeURIComponent(value)}`);
    }
    const address = this.base + url + (query.length ? `?${query.join("&")}` : "");
    const lines = [method === "get" ? `curl -s ${quoted(address)}` : `curl -s -X ${method.toUpperCase()} ${quoted(address)}`];
    const security = operation.security ?? [];
    if (security.some((one) => one.token) && !security.some((one) => Object.keys(one).length === 0)) {
      lines.push(`-H "Authorization: Bearer $TOKEN"`);
    }
    const [kind, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
    const body = this.example(media);
    if (kind === "application/json" && body !== undefined) {
      lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
    } else if (body !== undefined) {
      lines.push('-u "$CLIENT_ID:$CLIENT_SECRET"');
      for (const [name, value] of Object.entries(body)) lines.push(`--data-urlencode ${quoted(`${name}=${value}`)}`);
    }
    return lines.join(" \\\n  ");
  }

  parameters(operation) {
    const parameters = (operation.parameters ?? []).map((one) => this.resolve(one));
    if (!parameters.length) return null;
    const items = parameters.flatMap((parameter) => [
      el("dt", {}, el("code", {}, parameter.name), ` in ${parameter.in}, ${this.phrase(parameter.schema)}`,
        parameter.required ? ", required" : ""),
      el("dd", {}, prose(parameter.description)),
    ]);
    return [el("h4", {}, "Parameters"), el("dl", {}, items)];
  }

  responses(operation) {
    const [good, errors] = [[], []];
    for (const [status, given] of Object.entries(operation.responses ?? {})) {
      const response = this.resolve(given);
      if (status < 300) {
        const headers = Object.keys(response.headers ?? {}).join(", ");
        good.push(el("h4", {}, `Answer ${status}`), el("p", {}, prose(response.description)),
          headers ? el("p", { class: "muted" }, `Headers: ${headers}`) : null,
          this.content(Object.fromEntries(Object.entries(response.content ?? {}).filter(([kind]) => !kind.includes("problem")))));
      }
      for (const [slug, example] of Object.entries(response.content?.["application/problem+json"]?.examples ?? {})) {
        errors.push(el("dt", {}, `${status} `, el("a", { href: `problems/${slug}` }, slug)),
          el("dd", {}, example.summary));
      }
      if (status >= 300 && !response.content?.["application/problem+json"]) {
        errors.push(el("dt", {}, status), el("dd", {}, prose(response.description)));
      }
    }
    return [...good, errors.length ? el("details", {}, el("summary", {}, "Errors"), el("dl", {}, errors)) : null];
  }

  operation(method, path, operation) {
    const command = this.curl(method, path, operation);
    const copied = el("span", { role: "status" });
    const button = el("button", { type: "button" }, "Copy the command");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(command);
        copied.textContent = " Copied.";
      } catch {
        copied.textContent = " The browser does not allow copying; select the text.";
      }
    });
    const body = el("div", {});
    const details = el("details", { class: "operation", id: operation.operationId },
      el("summary", {}, el("span", { class: "method" }, method.toUpperCase()), el("span", { class: "path" }, path),
        ` ${operation.summary ?? ""} `,
        operation["x-scope"] ? el("span", { class: "scope" }, `scope ${operation["x-scope"]}`) : null),
      body);
    // Filled when it is first opened: few of them are.
    details.addEventListener("toggle", () => {
      if (!details.open || body.childElementCount) return;
      const request = operation.requestBody ? [el("h4", {}, "Body"), this.content(operation.requestBody.content)] : [];
      body.append(...[paragraphs(operation.description), el("h4", {}, "Example"),
        el("pre", { tabindex: "0", "aria-label": "Command" }, command), el("p", {}, button, copied),
        this.parameters(operation), request, this.responses(operation)].flat(3).filter(Boolean));
    });
    return details;
  }
}

/** The name in the fragment; one that is not encoded as it should be names nothing. */
function fragmentName() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

function render(api) {
  const renderer = new Renderer(api);
  byId("about").append(...prose(api.info.description));
  byId("server").textContent = `· ${renderer.base} · version ${api.info.version}`;
  const [contents, main] = [byId("contents"), byId("operations")];
  const entries = [];
  for (const tag of api.tags ?? []) {
    const list = el("ul");
    const section = el("section", { "aria-labelledby": `tag-${tag.name}` },
      el("h2", { id: `tag-${tag.name}` }, tag.name), el("p", { class: "muted" }, tag.description ?? ""));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((one) => methods[one]?.tags?.includes(tag.name))) {
        const operation = methods[method];
        const shown = renderer.operation(method, path, operation);
        const link = el("li", {}, el("a", { href: `#${operation.operationId}` }, operation.summary ?? path));
        const text = [method, path, operation.operationId, operation.summary, operation.description, operation["x-scope"]];
        entries.push({ shown, link, section, text: text.join(" ").toLowerCase() });
        section.append(shown);
        list.append(link);
      }
    }
    if (list.childElementCount) {
      contents.append(el("strong", {}, tag.name), list);
      main.append(section);
    }
  }
  const search = () => {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    const filled = new Set();
    for (const { shown, link, section, text } of entries) {
      const isFound = words.every((word) => text.includes(word));
      shown.hidden = link.hidden = !isFound;
      if (isFound) filled.add(section);
      count += isFound;
    }
    for (const { section } of entries) section.hidden = !filled.has(section);
    byId("count").textContent = `${count} of ${entries.length} operations`;
  };
  byId("search").addEventListener("input", search);
  search();
  const open = () => {
    const target = byId(fragmentName());
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    }
  };
  addEventListener("hashchange", open);
  open();
}

try {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json was answered with ${answer.status}`);
  render(await answer.json());
} catch (error) {
  byId("operations").append(el("p", { class: "error", role: "alert" }, `The API document cannot be shown: ${error.message}`));
}
