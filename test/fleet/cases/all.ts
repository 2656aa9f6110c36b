import type { ActionCase } from "./case.ts";
import { cases as commands } from "./commands.ts";
import { cases as databases } from "./databases.ts";
import { cases as files } from "./files.ts";
import { diskCases as disks, cases as storage } from "./storage.ts";
import { cases as system } from "./system.ts";

/** Every case, by the file it stands in. */
export const ALL_CASES: Readonly<Record<string, readonly ActionCase[]>> = {
  files,
  commands,
  system,
  storage,
  disks,
  databases,
};
