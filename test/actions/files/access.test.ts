import { expect, it } from "vitest";
import { accessOf } from "../../../src/actions/files/stat.ts";

const file = { type: "file", mode: 0o751, uid: 7, gid: 70 } as const;

it.each([
  ["root", { uid: 0, groups: [0] }, "rwx"],
  ["the owner", { uid: 7, groups: [7] }, "rwx"],
  ["a member of its group", { uid: 8, groups: [8, 70] }, "r-x"],
  ["others", { uid: 8, groups: [8] }, "--x"],
] as const)("%s", (_who, user, expected) => {
  const { readable, writeable, executable } = accessOf(file, user);
  expect(`${readable ? "r" : "-"}${writeable ? "w" : "-"}${executable ? "x" : "-"}`).toBe(expected);
});

it("the owner has no more than the owner's bits, even where the group has", () => {
  expect(accessOf({ ...file, mode: 0o070 }, { uid: 7, groups: [70] }).readable).toBe(false);
});

it("root runs nothing that nobody may run, and enters every directory", () => {
  const root = { uid: 0, groups: [0] };
  expect(accessOf({ ...file, mode: 0o600 }, root).executable).toBe(false);
  expect(accessOf({ ...file, mode: 0o600, type: "directory" }, root).executable).toBe(true);
});
