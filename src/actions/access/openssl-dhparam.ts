import * as v from "valibot";
import { type Applied, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { bytesToText, textToBytes } from "../../core/values/bytes.ts";
import { defineAction } from "../define.ts";
import { applyAttributes, inspectAttributes } from "../shared/attributes.ts";
import { backup, describe, fileAttributes, filePath, flag, oneOf, optionalText } from "../shared/params.ts";
import { parentOf, withFullPaths } from "../shared/paths.ts";
import { runTool } from "../shared/run-tool.ts";
import { applyFile, inspectFile, makeBackup } from "../shared/write-file.ts";

const DEFAULT_BITS = 4096;

const params = v.strictObject({
  path: filePath,
  size: v.optional(
    describe(v.pipe(v.number(), v.integer(), v.minValue(1)), "Bits of the prime number."),
    DEFAULT_BITS,
  ),
  state: oneOf(["present", "absent"], "present", "Make or remove the file."),
  force: flag("Make new parameters even if those of the file are as asked for."),
  backup,
  return_content: flag("Return the content of the file as `dhparams`."),
  select_crypto_backend: optionalText("Accepted and ignored: openssl of the host makes parameters."),
  ...fileAttributes,
});

/** The data of a task, under Ansible's names. */
interface ParametersData {
  readonly filename: string;
  readonly size: number;
  readonly dhparams?: string;
  readonly backup_file?: string;
}

interface ParametersChange extends Change {
  readonly deed: "make" | "remove" | "attributes";
}

/** Make Diffie-Hellman parameters for TLS servers. */
export const openssl_dhparam = defineAction<typeof params, ParametersChange, ParametersData>({
  name: "openssl_dhparam",
  doc: `Make a file of Diffie-Hellman parameters with the host's \`openssl\`, or remove it.

Parameters of another size, and those that openssl finds unsafe, are made anew. 4096 bits take minutes.`,
  params,
  examples: [{ path: "/etc/ssl/dhparams.pem", size: 2048, mode: "0644" }],
  title: ({ path }) => path,

  async inspect(params, system, context) {
    const given = await withFullPaths(params, ["path"], system, context.facts.env);
    const { path, size, state, force } = given;
    const file = await system.stat(path);
    if (state === "absent")
      return file === null
        ? unchanged({ filename: path, size })
        : { deed: "remove", diff: { path, before: "parameters\n", after: null } };
    if (!context.check && (await system.stat(parentOf(path)))?.type !== "directory")
      throw new VolleyError("ACTION_FAILED", `the directory ${parentOf(path)} does not exist`);
    if (file === null || force || (await readSize(path, system)) !== size)
      return {
        deed: "make",
        diff: { path, before: file === null ? null : "parameters\n", after: `parameters: ${size} bits\n` },
      };
    const attributes = await inspectAttributes(system, path, file, given, context);
    if (attributes !== null) return { deed: "attributes", diff: attributes.diff };
    return unchanged(await dataOf(given, system));
  },

  async apply({ deed }, params, system, context): Promise<Applied<ParametersData>> {
    const given = await withFullPaths(params, ["path"], system, context.facts.env);
    const { path, size } = given;
    if (deed === "remove") {
      const copy = given.backup ? await makeBackup(system, path) : undefined;
      await system.remove(path);
      return { data: { filename: path, size, ...(copy === undefined ? {} : { backup_file: copy }) } };
    }
    if (deed === "attributes") {
      const change = await inspectAttributes(system, path, await system.stat(path), given, context);
      if (change !== null) await applyAttributes(change, system);
      return { data: await dataOf(given, system) };
    }
    const { stdout } = await runTool(
      system,
      ["openssl", "dhparam", String(size)],
      "make Diffie-Hellman parameters",
      { signal: context.signal },
    );
    const change = await inspectFile({ system, context, content: textToBytes(stdout), ...given });
    const { data = {}, message } = change === null ? {} : await applyFile(change, system);
    return {
      data: { ...(await dataOf(given, system)), ...data },
      ...(message === undefined ? {} : { message }),
    };
  },
});

/** Read the bits of the parameters in a file; undefined for a file of other content, and for unsafe parameters. */
async function readSize(path: string, system: ReadSystem): Promise<number | undefined> {
  const { code, stdout } = await system.query([
    "openssl",
    "dhparam",
    "-check",
    "-text",
    "-noout",
    "-in",
    path,
  ]);
  const bits = /DH Parameters:\s*\((\d+) bit\)/.exec(stdout)?.[1];
  return code === 0 && bits !== undefined ? Number(bits) : undefined;
}

async function dataOf(
  { path, size, return_content }: v.InferOutput<typeof params>,
  system: ReadSystem,
): Promise<ParametersData> {
  return {
    filename: path,
    size,
    ...(return_content ? { dhparams: bytesToText(await system.readFile(path)) } : {}),
  };
}
