import type { OutlineOptions, PlayOutline } from "../../controller/prepare/outline.ts";
import type { TaskOutline } from "../../core/program.ts";
import type { SecretStoreOptions } from "../../vars/secrets/sources.ts";

// What `--list-hosts`, `--list-tasks`, `--list-tags` and `--syntax-check` print, in ansible-playbook's format.

/** The listings that are asked for, and what they are about. */
export interface ListingOptions extends Omit<OutlineOptions, "playbook" | "cwd" | "secrets" | "inventory"> {
  readonly listHosts: boolean | undefined;
  readonly listTasks: boolean | undefined;
  readonly listTags: boolean | undefined;
  /** Find the inventories; not called where the playbook is only read. */
  readonly inventories: () => readonly string[];
  readonly secrets: Omit<SecretStoreOptions, "cwd">;
}

/** Print the listings of playbooks, one after the other; of one that is only read, its name. Returns the exit code. */
export async function listPlaybooks(playbooks: readonly string[], options: ListingOptions): Promise<number> {
  const { listHosts, listTasks, listTags, inventories, secrets, ...rest } = options;
  const cwd = process.cwd();
  const [{ outlinePlaybook }, { preparePlaybook }, { createSecretStore }] = await Promise.all([
    import("../../controller/prepare/outline.ts"),
    import("../../controller/prepare/read.ts"),
    import("../../vars/secrets/store.ts"),
  ]);
  const isListing = [listHosts, listTasks, listTags].includes(true);
  const store = createSecretStore({ ...secrets, cwd });
  for (const playbook of playbooks) {
    if (!isListing) {
      await preparePlaybook(playbook, cwd, rest.ansible);
      process.stdout.write(`\nplaybook: ${playbook}\n`);
      continue;
    }
    const inventory = inventories();
    const { plays, warnings } = await outlinePlaybook({ ...rest, playbook, cwd, inventory, secrets: store });
    for (const warning of warnings) process.stderr.write(`volley: warning: ${warning}\n`);
    process.stdout.write(formatListing(playbook, plays, { listHosts, listTasks, listTags }));
  }
  return 0;
}

/** Format the listing of a playbook as ansible-playbook does. Tags of a play stand as written, those of tasks sorted. */
export function formatListing(
  playbook: string,
  plays: readonly PlayOutline[],
  { listHosts, listTasks, listTags }: Pick<ListingOptions, "listHosts" | "listTasks" | "listTags">,
): string {
  const lines = ["", `playbook: ${playbook}`];
  for (const [index, { name, hosts, hostNames, tags, tasks }] of plays.entries()) {
    lines.push("", `  play #${index + 1} (${hosts}): ${name}\tTAGS: [${tags.join(",")}]`);
    if (listHosts === true) {
      lines.push(`    pattern: ['${hosts}']`, `    hosts (${hostNames.length}):`);
      for (const host of hostNames) lines.push(`      ${host}`);
    }
    if (listTasks === true) {
      lines.push("    tasks:");
      for (const task of tasks) lines.push(`      ${titleOf(task)}\tTAGS: [${sorted(task.tags)}]`);
    }
    if (listTags === true) lines.push(`      TASK TAGS: [${sorted(tasks.flatMap((task) => task.tags))}]`);
  }
  return `${lines.join("\n")}\n`;
}

function titleOf({ role, name }: TaskOutline): string {
  return role === "" ? name : `${role} : ${name}`;
}

function sorted(tags: readonly string[]): string {
  return [...new Set(tags)].sort().join(", ");
}
