import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { locale_gen } from "../../../src/actions/system/locale-gen.ts";
import { withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const put = (path: string, text: string): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
};

const LIST = `# This file lists locales
# de_DE.UTF-8 UTF-8
# de_DE@euro ISO-8859-15
en_US.UTF-8 UTF-8
# fr_CH ISO-8859-1
`;

/** locale-gen generates the lines that are no comments, and locale lists them by their other names. */
const TOOLS = {
  "locale-gen": `grep -v '^#' $ROOT/etc/locale.gen | sed 's/ .*//; s/\\.UTF-8/.utf8/' > $ROOT/generated`,
  locale: "printf 'C\\nPOSIX\\n'; cat $ROOT/generated",
};

beforeEach(() => {
  sandbox = makeSandbox();
  put("etc/locale.gen", LIST);
  put("usr/share/i18n/SUPPORTED", "de_DE.UTF-8 UTF-8\nit_CH.UTF-8 UTF-8\n");
  put("generated", "en_US.utf8\n");
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof locale_gen>[0];

describe("locale_gen", () => {
  it.each<[string, Params, string]>([
    ["takes the comment sign away", { name: "de_DE.UTF-8" }, LIST.replace("# de_DE.UTF-8", "de_DE.UTF-8")],
    [
      "knows modifiers, and several locales",
      { name: ["de_DE@euro", "fr_CH"] },
      LIST.replace("# de_DE@euro", "de_DE@euro").replace("# fr_CH", "fr_CH"),
    ],
    ["knows the other spelling", { name: "de_DE.utf8" }, LIST.replace("# de_DE.UTF-8", "de_DE.UTF-8")],
    ["adds a line from the list of supported ones", { name: "it_CH.UTF-8" }, `${LIST}it_CH.UTF-8 UTF-8\n`],
    [
      "comments out what is to be absent",
      { name: "en_US.UTF-8", state: "absent" },
      LIST.replace("en_US.UTF-8", "# en_US.UTF-8"),
    ],
  ])("%s", async (_what, params, after) => {
    const { system } = withTools(sandbox, TOOLS);
    const { first } = await checkApplyAgain({ ...sandbox, system }, locale_gen(params));
    expect(readFileSync(at("etc/locale.gen"), "utf8")).toBe(after);
    expect(first.data).toEqual({ name: [params.name].flat(), mechanism: "debian" });
  });

  it("generates what is listed and not there", async () => {
    put("generated", "");
    const tools = withTools(sandbox, TOOLS);
    await checkApplyAgain({ ...sandbox, system: tools.system }, locale_gen({ name: "en_US.UTF-8" }));
    expect(readFileSync(at("etc/locale.gen"), "utf8")).toBe(LIST);
  });

  it("fails for a locale that is not supported, and without the package", async () => {
    const { system } = withTools(sandbox, TOOLS);
    const call = locale_gen({ name: ["xx_XX.UTF-8", "en_US.UTF-8"] });
    await expect(pass(call, system, sandbox.context())).rejects.toThrow(
      /not available on this system: xx_XX\.UTF-8;/,
    );
    const bare = withTools(sandbox, { ...TOOLS, "locale-gen": null }).system;
    const other = locale_gen({ name: "fr_CH" });
    await expect(pass(other, bare, sandbox.context())).rejects.toThrow(/install the package locales/);
    expect((await pass(other, bare, sandbox.context({ check: true }))).state).toBe("unknown");
  });
});
