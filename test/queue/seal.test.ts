import { createCipheriv, hkdfSync, randomBytes } from "node:crypto";
import { deflateRawSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { createSeal, type QueueKey } from "../../src/queue/seal.ts";

const newKey = (): QueueKey => ({ secret: randomBytes(32) });
const key = newKey();
const seal = createSeal([key]);
const PURPOSE = "job 01JD web1";
const refusal = expect.objectContaining({
  code: "QUEUE_REFUSED",
  message: `the message "${PURPOSE}" is not from a process that has the queue key, or was changed`,
});

/** The error that opening ends with. */
function fault(sealed: Uint8Array, purpose = PURPOSE, with_ = seal): unknown {
  try {
    with_.open(purpose, sealed);
  } catch (thrown) {
    return thrown;
  }
  throw new Error("the message was opened");
}

describe("a sealed message", () => {
  test.each([
    ["nothing", Buffer.alloc(0)],
    ["a short text", Buffer.from("naïve")],
    ["a long text", Buffer.from("task:end web1 ok\n".repeat(1_000))],
    ["bytes that cannot be deflated", randomBytes(100_000)],
  ])("opens to what was sealed: %s", (_, plain) => {
    expect(seal.open(PURPOSE, seal.seal(PURPOSE, plain)).equals(plain)).toBe(true);
    // Another process with the same key.
    expect(createSeal([key]).open(PURPOSE, seal.seal(PURPOSE, plain)).equals(plain)).toBe(true);
  });

  test("has nothing of the text in clear, and is never the same twice", () => {
    const plain = Buffer.from("password=hunter2");
    const [one, other] = [seal.seal(PURPOSE, plain), seal.seal(PURPOSE, plain)];
    expect(one.includes("hunter2")).toBe(false);
    expect(one.equals(other)).toBe(false);
    expect(one.length).toBe(plain.length + 50);
  });

  test("is smaller than a long text", () => {
    expect(seal.seal(PURPOSE, Buffer.from("x".repeat(10_000))).length).toBeLessThan(200);
  });

  test("is opened as a part of a larger buffer", () => {
    const sealed = seal.seal(PURPOSE, Buffer.from("text"));
    const within = new Uint8Array(Buffer.concat([Buffer.from("###"), sealed, Buffer.from("##")]));
    expect(seal.open(PURPOSE, within.subarray(3, 3 + sealed.length)).toString()).toBe("text");
  });
});

describe("refused is", () => {
  const sealed = seal.seal(PURPOSE, Buffer.from("apt-get install nginx ".repeat(40)));

  test("a message with any bit changed", () => {
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at]! ^= 1 << (at % 8);
      expect(fault(changed)).toEqual(refusal);
    }
  });

  test("a message cut off anywhere, or with more behind it", () => {
    for (let length = 0; length < sealed.length; length++)
      expect(fault(sealed.subarray(0, length))).toEqual(refusal);
    expect(fault(Buffer.concat([sealed, Buffer.of(0)]))).toEqual(refusal);
  });

  test("a message for another purpose", () => {
    expect(fault(seal.seal("job 01JD web2", Buffer.from("text")))).toEqual(refusal);
  });

  test("a message of another key, with the advice to use the same", () => {
    const foreign = createSeal([newKey()]).seal(PURPOSE, Buffer.from("text"));
    expect(fault(foreign)).toEqual(refusal);
    expect(fault(foreign)).toHaveProperty("hint", expect.stringContaining("need the same key"));
  });

  test("a message of another version, with the advice to update", () => {
    const changed = Buffer.from(sealed);
    changed[0] = 2;
    expect(fault(changed)).toHaveProperty("hint", expect.stringContaining("same version of Volley"));
  });

  test("with a purpose of any length and characters on one bounded line", () => {
    const { message } = fault(sealed, `job \u202e\n${"x".repeat(5_000)}`) as Error;
    expect(message).toMatch(/^the message "job \\u202e\\u000ax+…" is not from/);
    expect(message.length).toBeLessThan(400);
  });

  test("a message that inflates to more than 64 MiB", () => {
    const bomb = sealedByHand(key, deflateRawSync(Buffer.alloc((64 << 20) + 1)), 1);
    expect(bomb.length).toBeLessThan(100_000);
    expect(fault(bomb)).toMatchObject({
      code: "QUEUE_REFUSED",
      message: expect.stringContaining("cannot be inflated"),
    });
  });
});

test("the format is the documented one", () => {
  const plain = Buffer.from("written by another program");
  expect(seal.open(PURPOSE, sealedByHand(key, plain, 0)).equals(plain)).toBe(true);
});

test("more than 64 MiB are not sealed", () => {
  expect(() => seal.seal(PURPOSE, Buffer.alloc((64 << 20) + 1))).toThrow(
    expect.objectContaining({ code: "QUEUE_FAILED" }),
  );
});

test("a key is replaced while old messages are about", () => {
  const fresh = newKey();
  const rotated = createSeal([fresh, key]);
  expect(rotated.open(PURPOSE, seal.seal(PURPOSE, Buffer.from("old"))).toString()).toBe("old");
  const sealed = rotated.seal(PURPOSE, Buffer.from("new"));
  expect(createSeal([fresh]).open(PURPOSE, sealed).toString()).toBe("new");
  expect(fault(sealed)).toEqual(refusal);
  expect(() => createSeal([])).toThrow("a queue needs a key");
});

/** Seal as the comment in src/queue/seal.ts describes it, with nothing of that file. */
function sealedByHand({ secret }: QueueKey, body: Buffer, flags: number): Buffer {
  const bytesFor = (salt: Buffer, use: string, length: number) =>
    Buffer.from(hkdfSync("sha256", secret, salt, `volley queue ${use}`, length));
  const salt = randomBytes(16);
  const nonce = randomBytes(12);
  const header = Buffer.concat([Buffer.of(1, flags), bytesFor(Buffer.alloc(0), "id", 4), salt, nonce]);
  const cipher = createCipheriv("aes-256-gcm", bytesFor(salt, "seal", 32), nonce);
  cipher.setAAD(Buffer.concat([header, Buffer.from(PURPOSE)]));
  return Buffer.concat([header, cipher.update(body), cipher.final(), cipher.getAuthTag()]);
}
