import { execFileSync } from "node:child_process";
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { commandLine, quote } from "../../src/core/unix/shell.ts";
import { createMask, MASK, type Mask, maskEvent } from "../../src/vars/mask.ts";
import { MIN_SECRET_LENGTH, type Needles, needlesOf } from "../../src/vars/mask-needles.ts";

function maskOf(...secrets: readonly string[]): Mask {
  return createMask(secrets)!;
}

/** A generator of whole numbers below a bound, the same for the same seed (mulberry32). */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Every place of every needle, looked for one by one; of those in base64, as if the text were one line. */
function naive({ plain, base64 }: Needles, text: string): string {
  const hidden = new Array<boolean>(text.length).fill(false);
  const mark = (needles: Iterable<string>, among: readonly number[]): void => {
    const all = [...needles];
    const searched = among.map((at) => text[at]).join("");
    const hide = (from: number, to: number): void => {
      if (to > from) hidden.fill(true, among[from], among[to - 1]! + 1);
    };
    for (const needle of all)
      for (let at = searched.indexOf(needle); at >= 0; at = searched.indexOf(needle, at + 1))
        hide(at, at + needle.length);
    let telling = 0;
    for (const needle of all)
      for (let length = MIN_SECRET_LENGTH; length <= needle.length; length++)
        if (length * 2 >= needle.length && searched.endsWith(needle.slice(0, length)))
          telling = Math.max(telling, length);
    if (telling > 0) hidden.fill(true, among[searched.length - telling], text.length);
  };
  const everywhere = Array.from(text.split(""), (_, at) => at);
  mark(plain, everywhere);
  mark(
    base64,
    everywhere.filter((at) => !"\r\n".includes(text[at]!)),
  );
  return text.replace(/[\s\S]/g, (character, at: number) =>
    hidden[at] ? (at > 0 && hidden[at - 1] ? "" : MASK) : character,
  );
}

const ALPHABETS = ["ab", "ab\n", "abcd '\"\\", "aé😀\n/+ ", "0123456789abcdef"];

function randomText(random: (below: number) => number, alphabet: string, length: number): string {
  const characters = [...alphabet];
  return Array.from({ length }, () => characters[random(characters.length)]).join("");
}

test("masks what a naive search masks, in one piece and in any pieces", () => {
  const base = Number(process.env.VOLLEY_SEED ?? Date.now() % 1e9);
  for (let round = 0; round < 300; round++) {
    const seed = base + round;
    const random = randomFrom(seed);
    const alphabet = ALPHABETS[random(ALPHABETS.length)]!;
    const secrets = Array.from({ length: 1 + random(4) }, () => randomText(random, alphabet, 4 + random(10)));
    const needles = needlesOf(secrets);
    const mask = createMask(secrets);
    if (mask === null) continue;
    const pool = [
      ...secrets,
      ...needles.plain,
      ...[...needles.base64].map((one) => (random(2) ? one : one.replace(/...(?=.)/g, "$&\n"))),
    ];
    let text = "";
    for (let part = 0; part < 12; part++) {
      const needle = pool[random(pool.length)]!;
      const kind = random(4);
      if (kind === 0) text += randomText(random, alphabet, random(8));
      else if (kind === 1) text += needle;
      else if (kind === 2) text += needle.slice(0, random(needle.length + 1));
      else text += needle.slice(random(needle.length));
    }
    const expected = naive(needles, text);
    const told = `seed ${seed}, secrets ${inspect(secrets)}, text ${inspect(text)}`;
    expect(mask.text(text), told).toBe(expected);
    const stream = mask.stream();
    let streamed = "";
    for (let at = 0; at < text.length; ) {
      const size = 1 + random(random(3) === 0 ? 40 : 4);
      streamed += stream.push(text.slice(at, at + size));
      // The stream never shows more than the expected text.
      expect(expected.startsWith(streamed) || streamed === expected.slice(0, streamed.length), told).toBe(
        true,
      );
      at += size;
    }
    expect(streamed + stream.end(), told).toBe(expected);
  }
});

test("a stream can be used again after its end", () => {
  const stream = maskOf("hunter2222").stream();
  expect(stream.push("ahunte") + stream.end()).toBe(`a${MASK}`);
  expect(stream.push("r2222 hunter2222\n") + stream.end()).toBe(`r2222 ${MASK}\n`);
});

test("holds back only what could be the beginning of a secret", () => {
  const stream = maskOf("hunter2222").stream();
  expect(stream.push("Password: ")).toBe("Password: ");
  expect(stream.push("over h")).toBe("over ");
  expect(stream.push("e")).toBe("he");
  expect(stream.push("\nhunter2")).toBe("\n");
  expect(stream.push("222.")).toBe(`${MASK}.`);
});

/** Count the characters that code reads one by one. */
function charactersRead(code: () => void): number {
  const { charCodeAt } = String.prototype;
  let count = 0;
  String.prototype.charCodeAt = function (this: string, at: number) {
    count++;
    return charCodeAt.call(this, at);
  };
  try {
    code();
  } finally {
    String.prototype.charCodeAt = charCodeAt;
  }
  return count;
}

test("reads few characters of a text that has no secret", () => {
  const mask = maskOf("hunter2222", "Sup3r'secret/pass+word");
  const text = Array.from({ length: 20_000 }, (_, line) => `${line} over the hills and far away\n`).join("");
  let shown = "";
  expect(charactersRead(() => (shown = mask.text(text)))).toBeLessThan(text.length / 10);
  expect(shown).toBe(text);
});

test("reads no character again that was held back", () => {
  const secret = "ab".repeat(5_000);
  const stream = maskOf(secret).stream();
  const text = `${secret.slice(0, -1)}!`.repeat(3);
  const pieces = text.match(/.{1,10}/g)!;
  let shown = "";
  const count = charactersRead(() => {
    for (const piece of pieces) shown += stream.push(piece);
    shown += stream.end();
  });
  expect(shown).toBe(text);
  // The secret itself and its form in base64 are looked for.
  expect(count).toBeLessThan(3 * text.length);
});

test("holds back a bounded number of blank lines behind the beginning of a secret in base64", () => {
  const stream = maskOf("hunter2222").stream();
  const [first] = Buffer.from("hunter2222").toString("base64");
  const blank = "\n".repeat(800);
  expect(stream.push(`${first}${blank}`)).toBe("");
  expect(stream.push(blank)).toBe(`${first}${blank}${blank}`);
  expect(stream.push(blank)).toBe(blank);
});

const SECRETS = [
  "correct horse",
  'it\'s "so" $ecret\\!',
  "p@ss/w+rd=é😀",
  "q&a<b>c;d|e",
  "xxxx",
  "s3cr3t-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ-9876543210",
];

test.each(SECRETS)("%s is masked in every form", (secret) => {
  const mask = maskOf(secret);
  const bytes = Buffer.from(secret);
  const forms: Record<string, string> = {
    plain: secret,
    json: JSON.stringify({ a: { b: secret } }),
    "json in json": JSON.stringify(JSON.stringify({ a: secret })),
    url: `https://x/?a=${encodeURIComponent(secret)}&b=1`,
    form: new URLSearchParams({ a: secret }).toString(),
    hex: `<${bytes.toString("hex")}>`,
    shell: `'${secret.replaceAll("'", "'\\''")}'`,
    "shell in shell": commandLine(["sh", "-c", quote(secret)]),
    "printf %q": execFileSync("bash", ["-c", 'printf %q "$1"', "-", secret], {
      encoding: "utf8",
      env: { LC_ALL: "C.UTF-8", PATH: process.env.PATH },
    }),
    "python repr": execFileSync("python3", ["-c", "import sys; print(repr(sys.stdin.read()))"], {
      encoding: "utf8",
      input: secret,
      env: { PYTHONIOENCODING: "utf-8", PATH: process.env.PATH },
    }),
    base64: bytes.toString("base64"),
    "base64 of a line": Buffer.from(`${secret}\n`).toString("base64"),
    base64url: bytes.toString("base64url"),
    "base64, wrapped": execFileSync("base64", { encoding: "utf8", input: secret }),
  };
  for (const [form, text] of Object.entries(forms)) {
    const masked = mask.text(text);
    expect(masked, form).toContain(MASK);
    expect(masked, form).not.toContain(secret);
    // Only the text around the secret is left.
    expect(masked.replaceAll(MASK, "").length, `${form}: ${masked}`).toBeLessThanOrEqual(
      text.length - secret.length < 0 ? 0 : 24,
    );
  }
});

test.each(SECRETS)("%s is masked in base64 at each alignment", (secret) => {
  for (const before of ["", "a", "ab", "abc:user"]) {
    for (const after of ["", "x", "yz", "\n"]) {
      const encoded = Buffer.from(`${before}${secret}${after}`).toString("base64");
      const masked = maskOf(secret).text(encoded);
      expect(masked).toContain(MASK);
      const left = masked.split(MASK);
      // The unmasked rest decodes to nothing of the secret but parts of the characters at its ends.
      expect(left.join("").length).toBeLessThanOrEqual(
        Math.ceil(((before.length + after.length) * 4) / 3) + 6,
      );
    }
  }
});

test("the lines of a secret of several are masked on their own", () => {
  const mask = maskOf("first line\r\n  second\nab\n");
  expect(mask.text("second, first line, ab")).toBe(`${MASK}, ${MASK}, ab`);
  expect(mask.text(Buffer.from("second").toString("base64"))).toBe(MASK);
});

test("a secret is found in base64 that is broken into lines, wherever it lies", () => {
  const secret = "a secret of some length, longer than one line of base64 is: 0123456789";
  for (let before = 0; before < 60; before++) {
    const whole = Buffer.from(`${"x".repeat(before)}${secret}${"y".repeat(40)}`).toString("base64");
    const masked = maskOf(secret).text(whole.replace(/.{76}/g, "$&\n"));
    const [head, tail, ...more] = masked.replaceAll("\n", "").split(MASK);
    expect(more).toEqual([]);
    // The unmasked rest is the neighbours, and the characters they have a part in.
    expect(whole.startsWith(head!) && whole.endsWith(tail!)).toBe(true);
    expect(head!.length).toBeLessThanOrEqual(Math.ceil((before * 8) / 6));
    expect(tail!.length).toBeLessThanOrEqual(Math.ceil((40 * 8) / 6) + 3);
  }
});

test("overlapping secrets hide all of each other", () => {
  expect(maskOf("abcdXY", "XYefgh").text("-abcdXYefgh-")).toBe(`-${MASK}-`);
});

test("secrets too short to mask make no mask", () => {
  expect(createMask([])).toBeNull();
  expect(createMask(["", "a", "abc", "   a  "])).toBeNull();
});

test("a text that is cut inside a secret hides what is left of it", () => {
  expect(maskOf("0123456789abcdef").text("key=01234567")).toBe(`key=${MASK}`);
  expect(maskOf("0123456789abcdef").text("key=0123")).toBe("key=0123");
});

test("an event is masked wherever it carries text, and stays an event", () => {
  const mask = maskOf("changed", "web01", "123456");
  const event = {
    type: "task:end",
    host: "web01",
    role: "changed",
    name: "set changed",
    result: {
      state: "changed",
      message: "now changed",
      diff: [{ path: "/web01", before: null, after: "x=changed\n", attributes: { changed: ["a", "web01"] } }],
      data: { state: "changed", web01: [123_456, 12_345, true, null, new Date(0)] },
      error: { code: "ACTION_FAILED", message: "changed", stack: "at changed" },
      items: [{ label: "web01", state: "changed" }],
    },
    elapsedMs: 123_456,
  };
  expect(maskEvent(mask, event)).toEqual({
    type: "task:end",
    host: "web01",
    role: "changed",
    name: `set ${MASK}`,
    result: {
      state: "changed",
      message: `now ${MASK}`,
      diff: [{ path: `/${MASK}`, before: null, after: `x=${MASK}\n`, attributes: { [MASK]: ["a", MASK] } }],
      data: { state: MASK, [MASK]: [MASK, 12_345, true, null, "1970-01-01T00:00:00.000Z"] },
      error: { code: "ACTION_FAILED", message: MASK, stack: `at ${MASK}` },
      items: [{ label: MASK, state: "changed" }],
    },
    elapsedMs: 123_456,
  });
});
