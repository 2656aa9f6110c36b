import { readBool } from "../../actions/coerce.ts";
import { PLAY_ORDERS } from "../../core/playbook.ts";
import { numeric, writeJson } from "../../core/values/value.ts";
import { holdsTemplate } from "../../vars/scope.ts";

// Values of a play's keywords, and of its pattern, that nobody can carry out. Ansible refuses them as well.

const isNumber = (value: unknown): boolean =>
  numeric(value) !== undefined || (typeof value === "string" && /^\s*[-+]?\d+(?:\.\d+)?\s*$/.test(value));
const isSwitch = (value: unknown): boolean => readBool(value) !== undefined;
const SWITCH = [isSwitch, "yes or no"] as const;

/** The values that keywords can have; lists of sizes are checked size by size. */
const WANTED: Readonly<Record<string, readonly [holds: (value: unknown) => boolean, wanted: string]>> = {
  any_errors_fatal: SWITCH,
  become: SWITCH,
  force_handlers: SWITCH,
  gather_facts: SWITCH,
  max_fail_percentage: [
    (value) => isNumber(typeof value === "string" ? value.replace(/%\s*$/, "") : value),
    "a number from 0 to 100",
  ],
  order: [(value) => (PLAY_ORDERS as readonly unknown[]).includes(value), `one of ${PLAY_ORDERS.join(", ")}`],
  serial: [
    (value) => isNumber(typeof value === "string" ? value.replace(/%\s*$/, "") : value),
    'a number of hosts, a share such as "30%", or a list of these',
  ],
  strategy: [
    (value) => /^(?:ansible\.builtin\.)?(?:linear|free|host_pinned|debug)$/.test(String(value)),
    "one of linear, free, host_pinned",
  ],
  throttle: [isNumber, "a number of hosts"],
};

/** Return the reason why a play's keyword cannot have a value; undefined where it can, or where a template is to tell. */
export function keywordFault(key: string, value: unknown): string | undefined {
  const [holds, wanted] = WANTED[key] ?? [];
  if (holds === undefined || value === null || value === undefined) return undefined;
  const wrong = (key === "serial" ? [value].flat() : [value]).find(
    (each) => !holdsTemplate(each) && !holds(each),
  );
  return wrong === undefined ? undefined : `${key} is ${wanted}, not ${writeJson(wrong)}`;
}

/** Return the pattern of hosts that a name, or a list of names, stands for; undefined for any other value. */
export function patternOf(hosts: unknown): string | undefined {
  const names = [hosts].flat();
  const isList = names.every((name) => ["string", "number", "boolean"].includes(typeof name?.valueOf()));
  return isList ? names.map(String).join(",") : undefined;
}
