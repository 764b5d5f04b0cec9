// The API page: draws /openapi.json, and sends what its forms say.
// Text enters the page as text alone (no markup from the description is ever interpreted); the key stays in its field.
"use strict";

const byId = (id) => document.getElementById(id);
const JSON_TYPE = "application/json", FORM_TYPE = "multipart/form-data";
const DEPTH = 5; // of nested schemas

/** An element with properties and children; strings become text. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text whose `quoted` parts are code. */
function prose(text) {
  return String(text || "").split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

function paragraphs(text) {
  return String(text || "").split(/\n\s*\n/).filter(Boolean).map((part) => make("p", {}, ...prose(part)));
}

function table(head, rows) {
  const line = (cells, tag) => make("tr", {}, ...cells.map((cell) => make(tag, {}, ...[].concat(cell))));
  return make("div", { className: "scroll" },
    make("table", {}, make("thead", {}, line(head, "th")), make("tbody", {}, ...rows.map((row) => line(row, "td")))));
}

/** Schemas: references followed, "or null" left away. */
class Schemas {
  constructor(document) { this.named = (document.components || {}).schemas || {}; }

  resolve(schema) {
    if (schema.$ref) return this.resolve(this.named[schema.$ref.split("/").pop()] || {});
    const options = schema.anyOf || schema.oneOf;
    if (!options) return schema;
    const real = options.filter((option) => option.type !== "null");
    return real.length === 1 ? { ...schema, ...this.resolve(real[0]), anyOf: undefined, oneOf: undefined } : schema;
  }

  type(given) {
    const schema = this.resolve(given);
    const options = schema.anyOf || schema.oneOf;
    if (options) return options.map((option) => this.type(option)).join(" or ");
    if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" · ");
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.type === "array") return `array of ${this.type(schema.items || {})}`;
    return schema.format === "binary" ? "file" : schema.title && schema.properties ? schema.title : schema.type || "any";
  }

  limits(given) {
    const schema = this.resolve(given);
    const words = { minimum: "≥", maximum: "≤", minLength: "at least", maxLength: "at most", minItems: "at least", maxItems: "at most" };
    const unit = (key) => (key.endsWith("Length") ? " characters" : key.endsWith("Items") ? " items" : "");
    const said = Object.keys(words).filter((key) => key in schema).map((key) => `${words[key]} ${schema[key]}${unit(key)}`);
    if (schema.default !== undefined && schema.default !== null) said.push(`default ${JSON.stringify(schema.default)}`);
    return said.join(", ");
  }

  /** The fields of a schema as a list that opens. */
  tree(given, depth = 0) {
    const schema = this.resolve(given);
    const options = schema.anyOf || schema.oneOf;
    if (depth >= DEPTH) return null;
    if (options) return make("div", {}, ...options.map((option) => this.branch(option, depth)));
    if (schema.type === "array") return this.tree(schema.items || {}, depth);
    if (!schema.properties) return null;
    const required = new Set(schema.required || []);
    return make("div", {}, table(["field", "type", "meaning"], Object.entries(schema.properties).map(([name, field]) => [
      [make("code", {}, name), required.has(name) ? " *" : ""],
      this.type(field),
      [...prose(this.resolve(field).description || field.description), " ", make("span", { className: "soft" }, this.limits(field))],
    ])), ...Object.values(schema.properties).map((field) => this.branch(field, depth)));
  }

  branch(given, depth) {
    const inside = this.tree(given, depth + 1);
    return inside && make("details", {}, make("summary", {}, this.type(given)), inside);
  }

  /** A small valid value to begin with. */
  example(given, depth = 0) {
    const schema = this.resolve(given);
    if (schema.example !== undefined) return schema.example;
    if (schema.examples && schema.examples.length) return schema.examples[0];
    if (schema.default !== undefined && schema.default !== null) return schema.default;
    if (schema.enum) return schema.enum[0];
    if (schema.type === "array") return depth < DEPTH ? [this.example(schema.items || {}, depth + 1)] : [];
    if (schema.properties) {
      const names = schema.required || Object.keys(schema.properties).slice(0, 1);
      return Object.fromEntries(names.map((name) => [name, this.example(schema.properties[name], depth + 1)]));
    }
    return { number: 0.5, integer: 1, boolean: true }[schema.type] ?? "";
  }
}

/** One route: what it does, and a form that does it. */
class Operation {
  constructor(method, path, told, schemas) {
    Object.assign(this, { method, path, told, schemas });
    this.id = `${method}${path}`.replace(/[^a-z0-9]+/gi, "-");
    this.contents = Object.entries((told.requestBody || {}).content || {});
    this.inputs = [];
  }

  draw() {
    const { told } = this;
    this.article = make("article", { id: this.id },
      make("h2", {}, make("span", { className: `method ${this.method}` }, this.method.toUpperCase()), " ", this.path),
      make("p", { className: "summary" }, told.summary || ""),
      ...paragraphs(told.description),
      told["x-scope"] ? make("p", { className: "soft" }, "Needs the scope ", make("code", {}, told["x-scope"]), " where keys are on.") : null,
      ...this.parameters(), ...this.body(), ...this.answers(), this.form());
    this.refresh();
    return this.article;
  }

  link() {
    return make("li", {}, make("a", { href: `#${this.id}` },
      make("span", { className: `method ${this.method}` }, this.method.toUpperCase()), this.path));
  }

  parameters() {
    const rows = (this.told.parameters || []).map((parameter) => [
      [make("code", {}, parameter.name), parameter.required ? " *" : ""], parameter.in, this.schemas.type(parameter.schema || {}),
      [...prose(parameter.description), " ", make("span", { className: "soft" }, this.schemas.limits(parameter.schema || {}))],
    ]);
    return rows.length ? [make("h3", {}, "Parameters"), table(["name", "in", "type", "meaning"], rows)] : [];
  }

  body() {
    return this.contents.map(([type, content]) => make("details", {},
      make("summary", {}, "Body as ", make("code", {}, type)),
      this.schemas.tree(content.schema || {}) || make("p", {}, ...prose((content.schema || {}).description))));
  }

  answers() {
    const entries = Object.entries(this.told.responses || {});
    const schema = entries.map(([, told]) => ((told.content || {})[JSON_TYPE] || {}).schema).find(Boolean);
    const tree = schema && this.schemas.tree(schema);
    const rows = entries.map(([status, told]) => [make("code", {}, status), prose(told.description)]);
    return [
      tree ? make("details", {}, make("summary", {}, "Answer"), tree) : null,
      make("details", {}, make("summary", {}, "Statuses and error codes"), table(["status", "meaning"], rows)),
    ];
  }

  form() {
    this.curl = make("pre", { tabIndex: 0 });
    this.result = make("div", { role: "status" });
    this.button = make("button", { type: "submit" }, "Send");
    const form = make("form", { autocomplete: "off" }, this.fields(), this.bodyFields(), this.button);
    form.addEventListener("input", () => this.refresh());
    form.addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    return make("details", {}, make("summary", {}, "Try it"), form,
      make("h3", {}, "The same with curl"), this.curl, this.result);
  }

  fields() {
    return make("div", { className: "fields" }, ...(this.told.parameters || []).map((parameter) => {
      const schema = this.schemas.resolve(parameter.schema || {});
      const choices = schema.enum || (schema.type === "boolean" ? [true, false] : null);
      const input = choices
        ? make("select", {}, make("option", { value: "" }, "–"), ...choices.map((value) => make("option", {}, String(value))))
        : make("input", { placeholder: schema.default === undefined || schema.default === null ? "" : String(schema.default) });
      input.required = parameter.required === true;
      this.inputs.push([parameter, input]);
      return make("label", {}, parameter.name, input);
    }));
  }

  bodyFields() {
    if (!this.contents.length) return null;
    this.kind = make("select", {}, ...this.contents.map(([type]) => make("option", {}, type)));
    this.file = make("input", { type: "file" });
    const json = this.contents.find(([type]) => type === JSON_TYPE);
    this.text = make("textarea", { spellcheck: false }, json ? JSON.stringify(this.schemas.example(json[1].schema || {}), null, 2) : "");
    this.fileLabel = make("label", {}, "File", this.file);
    this.textLabel = make("label", {}, "JSON", this.text);
    return make("div", { className: "body" }, make("label", {}, "Body as", this.kind), this.fileLabel, this.textLabel);
  }

  /** The address with what the fields say. */
  address() {
    let path = this.path;
    const query = new URLSearchParams();
    for (const [parameter, input] of this.inputs) {
      if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (parameter.in === "query" && input.value) query.append(parameter.name, input.value);
    }
    return query.size ? `${path}?${query}` : path;
  }

  refresh() {
    const type = this.kind && this.kind.value;
    if (this.kind) {
      this.fileLabel.hidden = type === JSON_TYPE;
      this.textLabel.hidden = type !== JSON_TYPE;
    }
    const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    const name = (this.file && this.file.files[0] && this.file.files[0].name) || "picture.jpg";
    const parts = ["curl"];
    if (byId("key").value) parts.push('-H "authorization: Bearer $OCELLI_KEY"');
    if (type === FORM_TYPE) parts.push(`-F ${quoted(`image=@${name}`)}`);
    else if (type === JSON_TYPE) parts.push(`-H 'content-type: ${type}'`, `-d ${quoted(this.text.value)}`);
    else if (type) parts.push(`-H 'content-type: ${this.mime()}'`, `--data-binary ${quoted(`@${name}`)}`);
    this.curl.textContent = [...parts, quoted(location.origin + this.address())].join(" \\\n  ");
  }

  mime() { return (this.file.files[0] && this.file.files[0].type) || "image/jpeg"; }

  /** The request as `fetch` takes it; a form's own type comes from the browser, with its boundary. */
  request() {
    const headers = {}, key = byId("key").value.trim(), type = this.kind && this.kind.value;
    if (key) headers.authorization = `Bearer ${key}`;
    if (!type) return { method: this.method.toUpperCase(), headers };
    if (type === FORM_TYPE) {
      const body = new FormData();
      if (this.file.files[0]) body.append("image", this.file.files[0]);
      return { method: this.method.toUpperCase(), headers, body };
    }
    headers["content-type"] = type === JSON_TYPE ? type : this.mime();
    return { method: this.method.toUpperCase(), headers, body: type === JSON_TYPE ? this.text.value : this.file.files[0] };
  }

  async send() {
    this.button.disabled = true;
    const began = performance.now();
    try {
      const answer = await fetch(this.address(), { ...this.request(), credentials: "omit" });
      this.show(answer, await answer.text(), performance.now() - began);
    } catch {
      this.result.replaceChildren(make("p", { className: "bad" }, "No answer came: the gateway cannot be reached."));
    }
    this.button.disabled = false;
  }

  show(answer, text, milliseconds) {
    let body = text;
    try { body = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is no JSON: shown as it came */ }
    const headers = [...answer.headers].filter(([name]) => /^(x-|retry-after|server-timing)/.test(name));
    this.result.replaceChildren(
      make("h3", { className: answer.ok ? "" : "bad" }, `${answer.status} after ${milliseconds.toFixed(0)} ms`),
      make("pre", { tabIndex: 0 }, headers.map((header) => header.join(": ")).join("\n")),
      make("pre", { tabIndex: 0 }, body));
  }
}

async function start() {
  const state = byId("state");
  try {
    const answer = await fetch("/openapi.json", { credentials: "omit" });
    if (!answer.ok) throw new Error(String(answer.status));
    const told = await answer.json(), schemas = new Schemas(told);
    byId("version").textContent = told.info.version;
    byId("about").textContent = told.info.description;
    const operations = Object.entries(told.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => new Operation(method, path, operation, schemas)));
    byId("index").append(...operations.map((operation) => operation.link()));
    byId("routes").append(...operations.map((operation) => operation.draw()));
    byId("access").addEventListener("submit", (event) => event.preventDefault());
    byId("key").addEventListener("input", () => operations.forEach((operation) => operation.refresh()));
    state.textContent = operations.length ? "" : "No service answers now, so there is nothing to describe. Reload the page later.";
    if (location.hash) byId(location.hash.slice(1))?.scrollIntoView();
  } catch {
    state.textContent = "The description cannot be read now. Reload the page later.";
    state.className = "bad";
  }
}

start();
