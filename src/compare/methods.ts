import { VolleyError } from "../core/errors.ts";
import { quote } from "../core/shell-quote.ts";
import type { Method } from "./comparison.ts";

/** The ways a run of ours can take. */
const VIAS = ["bundle", "direct"];
const NAME = /^[\w][\w .+-]*$/;

/** What stands for the inventory in a command. */
export const INVENTORY_PLACEHOLDER = "{inventory}";

/**
 * The methods that `--methods` and `--also` name, in this order. `ansible=site.yml` is short for `ansible-playbook` with
 * `inventories`, those of Ansible's formats, and the one that leads through the proxies. Fails with `USAGE`.
 */
export function parseMethods(
  names: readonly string[],
  also: readonly string[],
  inventories: readonly string[],
): readonly Method[] {
  const own = names.map((name): Method => {
    if (VIAS.includes(name)) return { kind: "volley", name, via: name };
    throw new VolleyError(
      "USAGE",
      `there is no method ${JSON.stringify(name)}: --methods takes ${VIAS.join(", ")}`,
      {
        hint: "any other command is named with --also NAME=COMMAND",
      },
    );
  });
  const others = also.map((text): Method => {
    const at = text.indexOf("=");
    const [name, line] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
    if (at < 1 || !NAME.test(name) || line === "") {
      throw new VolleyError("USAGE", `--also takes NAME=COMMAND, not ${JSON.stringify(text)}`, {
        hint: `write: --also 'ansible=site.yml', or --also 'script=./deploy.sh ${INVENTORY_PLACEHOLDER}'`,
      });
    }
    return { kind: "command", name, line: name === "ansible" ? ansibleLine(line, inventories) : line };
  });
  const methods = [...own, ...others];
  const twice = methods.find(({ name }, index) => methods.findIndex((each) => each.name === name) !== index);
  if (twice !== undefined) throw new VolleyError("USAGE", `two methods are called ${twice.name}`);
  if (methods.length === 0)
    throw new VolleyError("USAGE", "there is nothing to compare: name methods with --methods or --also");
  return methods;
}

function ansibleLine(line: string, inventories: readonly string[]): string {
  if (!/^\S+\.ya?ml$/.test(line)) return line;
  // What a later inventory says of a host replaces what an earlier one does.
  const given = inventories.map((path) => `-i ${quote(path)} `).join("");
  return `ansible-playbook ${given}-i ${INVENTORY_PLACEHOLDER} ${quote(line)}`;
}
