import * as v from "valibot";
import { type Applied, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { describe, nameText } from "../shared/params.ts";
import { failureText, runTool } from "../shared/run-tool.ts";
import { APT_ENVIRONMENT } from "./apt-get.ts";

const params = v.strictObject({
  name: nameText("The package."),
  selection: describe(
    v.picklist(["install", "hold", "deinstall", "purge"]),
    "`hold` keeps the package's version, `install` frees it. `deinstall` and `purge` mark it for removal.",
  ),
});

/** The data of a dpkg_selections task. */
interface SelectionData {
  /** `not present` for a package that dpkg does not know. */
  readonly before: string;
  readonly after: string;
}

interface SelectionChange extends Change {
  readonly data: SelectionData;
}

/** Set what dpkg is to do with a package. */
export const dpkg_selections = defineAction<typeof params, SelectionChange, SelectionData>({
  name: "dpkg_selections",
  doc: "Set what dpkg is to do with a package: keep its version, or let it be upgraded or removed. Nothing is installed or removed by this alone.",
  params,
  examples: [{ name: "nginx", selection: "hold" }],
  title: ({ name, selection }) => `${name} ${selection}`,

  async inspect({ name, selection }, system, { signal }) {
    const asked = await system.query(["dpkg", "--get-selections", name], { env: APT_ENVIRONMENT, signal });
    if (asked.code !== 0)
      throw new VolleyError("ACTION_FAILED", `cannot read the selection of ${name}: ${failureText(asked)}`);
    const before = asked.stdout.trim().split(/\s+/)[1] ?? "not present";
    const data = { before, after: selection };
    if (before === selection) return unchanged(data);
    return { data, diff: { path: `package ${name}`, before: `${before}\n`, after: `${selection}\n` } };
  },

  async apply({ data }, { name, selection }, system, { signal }) {
    const input = `${name} ${selection}\n`;
    const { stderr } = await runTool(
      system,
      ["dpkg", "--set-selections"],
      `select ${selection} for ${name}`,
      {
        input,
        env: APT_ENVIRONMENT,
        signal,
      },
    );
    return {
      data,
      ...(stderr.trim() === "" ? {} : { message: stderr.trim() }),
    } satisfies Applied<SelectionData>;
  },
});
