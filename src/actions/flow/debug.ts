import * as v from "valibot";
import { skipped, unchanged } from "../../core/action.ts";
import { isRecord, keyText, writeJson } from "../../core/values/value.ts";
import { modelOf, plain, restore, type Vars } from "../../core/values/vars.ts";
import { defineAction } from "../define.ts";
import { describe, optionalText } from "../shared/params.ts";

/** Show a message or a variable. */
export const debug = defineAction({
  name: "debug",
  doc: `Show a message, or the value of a variable.

It never changes anything. Text longer than one line is shown as output. \`debug("text")\` is short for \`msg\`.`,
  params: v.pipe(
    v.strictObject({
      msg: v.optional(
        describe(
          v.unknown(),
          "The message; values other than text are shown as JSON. Default: `Hello world!`",
        ),
      ),
      var: optionalText("The variable to show: `os_release`, `users[0].name`. Not together with `msg`."),
      verbosity: v.optional(
        describe(
          v.pipe(v.number(), v.integer(), v.minValue(0)),
          "The lowest verbosity (`ansible_verbosity`) at which it is shown.",
        ),
        0,
      ),
    }),
    v.check(
      (params) => params.msg === undefined || params.var === undefined,
      "'msg' and 'var' are incompatible options",
    ),
  ),
  examples: [{ msg: "reached the end" }, { var: "ansible_default_ipv4.address" }],
  shorthand: (input: string) => ({ msg: input }),
  async inspect({ msg = "Hello world!", var: name, verbosity }, _system, context) {
    if (verbosity > Number(context.vars.ansible_verbosity ?? 0))
      return skipped<Record<string, unknown>>("the verbosity is too low for it", {
        skipped_reason: "Verbosity threshold not met.",
      });
    const value = restore(name === undefined ? msg : lookUp(modelOf(context.vars), name));
    const shown =
      typeof value === "string" || value === undefined ? String(value) : writeJson(value, { indent: "  " });
    const text = name === undefined ? shown : `${name}: ${shown}`;
    const [first = "", ...more] = text.split("\n");
    if (more.length > 0) context.output("stdout", `${text}\n`);
    return unchanged<Record<string, unknown>>(
      { [name ?? "msg"]: plain(value) },
      more.length > 0 ? `${first} …` : first,
    );
  },
});

/** Return the value at a path such as `a.b[0]['c d']`. */
function lookUp(vars: Vars, path: string): unknown {
  let value: unknown = vars;
  for (const match of path.matchAll(/\[\s*(?:'([^']*)'|"([^"]*)"|(\d+))\s*\]|([^.[\]]+)/g)) {
    const key = (match[1] ?? match[2] ?? match[3] ?? match[4] ?? "").trim();
    const holder = value;
    value = undefined;
    if (Array.isArray(holder)) value = holder[Number(key)];
    else if (holder instanceof Map) value = [...holder].find(([own]) => keyText(own) === key)?.[1];
    else if (isRecord(holder) && Object.hasOwn(holder, key)) value = holder[key];
    if (value === undefined) return "VARIABLE IS NOT DEFINED!";
  }
  return value;
}
