import type { ReadSystem } from "../../core/system.ts";
import { type FileContext, findGroup, findOwner, groupName, ownerName } from "../accounts/accounts.ts";
import type { FileAttributes } from "./attributes.ts";

/** Say in check mode which wanted owner and group there are not yet, in the words of Ansible's `warnings`. */
export async function accountWarnings(
  system: ReadSystem,
  { owner, group }: FileAttributes,
  context: FileContext,
): Promise<readonly string[]> {
  if (!context.check) return [];
  const accounts = [
    { noun: "user", id: "uid", wanted: owner, find: findOwner, name: ownerName },
    { noun: "group", id: "gid", wanted: group, find: findGroup, name: groupName },
  ] as const;
  const warnings: string[] = [];
  for (const { noun, id, wanted, find, name } of accounts) {
    if (wanted === undefined) continue;
    const isId = /^\d+$/.test(String(wanted));
    const isThere = isId
      ? (await name(system, Number(wanted), context)) !== undefined
      : (await find(system, wanted, context)) !== null;
    if (isThere) continue;
    const said = isId ? `${noun} with ${id} ${wanted}` : `${noun} ${wanted}`;
    warnings.push(`failed to look up ${said}. Create ${noun} up to this point in real play`);
  }
  return warnings;
}
