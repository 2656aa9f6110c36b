import { createHmac, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { hashedNameMatcher } from "../../../src/transport/ssh/hashed-name.ts";

test.each([0, 1, 20, 21, 63, 64, 65, 100])(
  "salts of %i bytes, names of any length: as node:crypto has it",
  (saltBytes) => {
    for (let nameBytes = 0; nameBytes <= 130; nameBytes++) {
      const [salt, name] = [randomBytes(saltBytes), randomBytes(nameBytes)];
      const digest = createHmac("sha1", salt).update(name).digest();
      expect(hashedNameMatcher(salt, digest)(name)).toBe(true);
      expect(hashedNameMatcher(salt, randomBytes(20))(name)).toBe(false);
      expect(hashedNameMatcher(salt, digest)(Buffer.concat([name, Buffer.from("x")]))).toBe(false);
    }
  },
);

test("one matcher for many names, and hashes of another length", () => {
  const salt = randomBytes(20);
  const hashOf = (name: string): Buffer => createHmac("sha1", salt).update(name).digest();
  const matches = hashedNameMatcher(salt, hashOf("web7"));
  const names = Array.from({ length: 20 }, (_none, index) => `web${index}`);
  expect(names.filter((name) => matches(Buffer.from(name)))).toEqual(["web7"]);
  expect(hashedNameMatcher(salt, Buffer.alloc(0))(Buffer.from("web7"))).toBe(false);
  expect(hashedNameMatcher(salt, hashOf("web7").subarray(0, 19))(Buffer.from("web7"))).toBe(false);
});
