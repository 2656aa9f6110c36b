/** The shortest text that is masked, in characters: shorter ones would blot out half of what is printed. */
export const MIN_SECRET_LENGTH = 4;

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** Above this many characters a secret is a file, and only what a file is likely to go through is looked for. */
const LONG_SECRET = 512;
/** Bytes of a line of base64 as `base64` (76 columns) and PEM (64 columns) break it. */
const BASE64_LINE_BYTES = [57, 48];

/** The characters of the base64 of `before` unknown bytes and then these that these alone decide. */
function base64Core(bytes: Uint8Array, before: number): string {
  const bits = before * 8 + bytes.length * 8;
  let core = "";
  for (let at = Math.ceil((before * 8) / 6); (at + 1) * 6 <= bits; at++) {
    let value = 0;
    for (let bit = at * 6 - before * 8; bit < at * 6 - before * 8 + 6; bit++)
      value = (value << 1) | ((bytes[bit >> 3]! >> (7 - (bit & 7))) & 1);
    core += BASE64[value];
  }
  return core;
}

/** Base64 of the bytes and nothing else, padding included. */
function base64Whole(bytes: Uint8Array): string {
  const rest = bytes.length % 3;
  if (rest === 0) return base64Core(bytes, 0);
  const padded = new Uint8Array(bytes.length + 3 - rest);
  padded.set(bytes);
  return base64Core(padded, 0).slice(0, rest - 3) + "=".repeat(3 - rest);
}

function base64Forms(text: string): readonly string[] {
  const bytes = new TextEncoder().encode(text);
  // As `echo secret | base64` has it.
  const line = new TextEncoder().encode(`${text}\n`);
  const forms = [
    base64Whole(bytes),
    base64Whole(line),
    ...[0, 1, 2].map((before) => base64Core(bytes, before)),
  ];
  for (const size of BASE64_LINE_BYTES) {
    if (bytes.length <= size) continue;
    for (let at = 0; at < bytes.length; at += size) forms.push(base64Whole(bytes.subarray(at, at + size)));
  }
  return forms.flatMap((form) => [
    form,
    form.replaceAll("+", "-").replaceAll("/", "_"),
    form.replace(/=+$/, ""),
  ]);
}

function urlForms(text: string): readonly string[] {
  const encoded: string[] = [];
  try {
    const component = encodeURIComponent(text);
    const strict = component.replace(
      /[!'()*]/g,
      (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
    );
    encoded.push(
      component,
      strict,
      encodeURI(text),
      strict.replaceAll("%2F", "/"),
      strict.replaceAll("%20", "+").replaceAll("~", "%7E"),
      component.replaceAll("%20", "+"),
    );
  } catch {
    // Half a surrogate pair has no such form.
  }
  return encoded.flatMap((form) => [form, form.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())]);
}

function jsonForms(text: string): readonly string[] {
  const escaped = JSON.stringify(text).slice(1, -1);
  const ascii = escaped.replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return [escaped, ascii, escaped.replaceAll("/", "\\/"), JSON.stringify(escaped).slice(1, -1)];
}

function shellForms(text: string): readonly string[] {
  return [
    text.replaceAll("'", "'\\''"),
    text.replaceAll("'", `'"'"'`),
    text.replace(/["\\$`]/g, "\\$&"),
    text.replace(/["\\$`!]/g, "\\$&"),
    // bash's printf %q and $'…'; Python's and JavaScript's own notations.
    text.replace(/[^\w@%+=:,./\n-]/g, "\\$&"),
    text.replace(/[\\']/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\t", "\\t"),
  ];
}

function markupForms(text: string): readonly string[] {
  const basic = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const quoted = basic.replaceAll('"', "&quot;");
  return [
    basic,
    quoted,
    quoted.replaceAll("'", "&#39;"),
    quoted.replaceAll("'", "&#x27;"),
    basic.replaceAll('"', "&#34;").replaceAll("'", "&#39;"),
  ];
}

function hexForms(text: string): readonly string[] {
  const hex = [...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex, hex.toUpperCase()];
}

/**
 * Every text that gives secrets away: each as it is, each line of it on its own, and both as they look in base64 at any
 * alignment, in URLs, JSON, shell and markup quoting, and hex. None is shorter than {@link MIN_SECRET_LENGTH}.
 */
export function needlesOf(secrets: Iterable<string>): ReadonlySet<string> {
  const needles = new Set<string>();
  const add = (text: string): void => {
    if (text.trim().length < MIN_SECRET_LENGTH || needles.has(text)) return;
    const long = text.length > LONG_SECRET;
    const forms = [text, ...jsonForms(text), ...base64Forms(text), ...urlForms(text), ...shellForms(text)];
    if (!long) forms.push(...markupForms(text), ...hexForms(text));
    for (const form of forms) if (form.length >= MIN_SECRET_LENGTH) needles.add(form);
  };
  for (const secret of secrets) {
    add(secret);
    add(secret.trim());
    if (!/[\r\n]/.test(secret)) continue;
    for (const line of secret.split(/\r\n|\r|\n/)) {
      add(line);
      add(line.trim());
    }
  }
  return needles;
}
