import { expect, it } from "vitest";
import { sha2Crypt } from "../../../src/system/crypt.ts";

// Expected values: the results of crypt(3) and `openssl passwd`.
it.each([
  [
    "sha512",
    "Hello world!",
    "saltstring",
    undefined,
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
  ],
  [
    "sha512",
    "secret",
    "saltsalt",
    undefined,
    "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
  ],
  [
    "sha512",
    "Hello world!",
    "saltstringsaltstring",
    10_000,
    "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
  ],
  [
    "sha256",
    "Hello world!",
    "saltstring",
    undefined,
    "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
  ],
  [
    "sha256",
    "Hello world!",
    "saltstringsaltstring",
    10_000,
    "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
  ],
  [
    "sha256",
    "żółć long",
    "abcdefghijklmnop",
    undefined,
    "$5$abcdefghijklmnop$/v4xj5NpwlLF7ZqZA2ki3A1HEAuWpEIMUJsu7byquvC",
  ],
] as const)("%s of %s with %s", (kind, password, salt, rounds, expected) => {
  expect(sha2Crypt(kind, password, salt, rounds)).toBe(expected);
});
