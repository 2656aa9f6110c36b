import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { bcrypt, isPassword, md5Crypt, sha1Text } from "../../src/system/crypt.ts";

it.each([
  ["apr1", "myPassword", "r31.....", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"],
  ["apr1", "pä", "abc", "$apr1$abc$Xj285NjvF4PV8gZESytLM1"],
  ["1", "x", "abcdefgh", "$1$abcdefgh$znAnv9M.XU2pRYfmSs46h/"],
] as const)("md5-crypt %s of %s", (kind, password, salt, expected) => {
  expect(md5Crypt(kind, password, salt)).toBe(expected);
});

it("hashes as openssl does, whatever the length", () => {
  for (let length = 1; length < 40; length += 3) {
    const password = "aB3!".repeat(10).slice(0, length);
    const theirs = execFileSync("openssl", ["passwd", "-apr1", "-salt", "saltsalt", password]).toString();
    expect(`${md5Crypt("apr1", password, "saltsalt")}\n`).toBe(theirs);
  }
});

// Of Openwall's crypt_blowfish (public domain).
it.each([
  ["U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"],
  ["U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"],
  ["U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"],
  ["", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"],
])("bcrypt of %j", (password, hash) => {
  expect(isPassword(password, hash)).toBe(true);
  expect(isPassword(`${password}x`, hash)).toBe(false);
});

it("bcrypt counts 72 bytes of a password", () => {
  const salt = Buffer.alloc(16, 7);
  const long = "a".repeat(72);
  expect(bcrypt(`${long}b`, salt, 4)).toBe(bcrypt(long, salt, 4));
  expect(bcrypt(long.slice(1), salt, 4)).not.toBe(bcrypt(long, salt, 4));
  expect(bcrypt(long, salt, 4)).toMatch(/^\$2y\$04\$[./A-Za-z0-9]{53}$/);
});

it.each([
  ["{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password"],
  [
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    "Hello world!",
  ],
  ["plain text", "plain text"],
])("knows %s", (hash, password) => {
  expect(isPassword(password, hash)).toBe(true);
  expect(isPassword("other", hash)).toBe(false);
  if (hash.startsWith("{SHA}")) expect(sha1Text(password)).toBe(hash);
});
