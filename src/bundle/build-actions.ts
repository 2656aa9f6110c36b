import { existsSync, readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import { refuseForbidden } from "./import-rules.ts";
import { fromRunner, MINIFY, type Minify } from "./lent.ts";
import type { ActionModule, ActionModules } from "./parts.ts";

// The actions as modules: every source file is a function that is given `require` and returns its exports. A bundle can
// then hold any choice of files, and a file that two actions share exists once.

/** A line of `src/actions/<domain>/index.ts`. */
const EXPORT = /^export \{ ([\w, ]+) \} from "\.\/([\w-]+)\.ts";$/gm;

/** Build all actions that the domains' `index.ts` below `sourceDirectory` (a file URL that ends with a slash) export. */
export async function buildActions(sourceDirectory: string, minify?: Minify): Promise<ActionModules> {
  const actions = actionFiles(sourceDirectory);
  const modules: Record<string, ActionModule> = {};
  let wanted = [...new Set(Object.values(actions))];
  while (wanted.length > 0) {
    Object.assign(modules, await buildModules(wanted, sourceDirectory, minify));
    wanted = [...new Set(wanted.flatMap((id) => modules[id]!.needs))].filter((id) => !(id in modules));
  }
  return { actions: sorted(actions), modules: sorted(modules) };
}

/** Read the names that the domains export, with the file of each: its path below `sourceDirectory`, without `.ts`. */
export function actionFiles(sourceDirectory: string): Record<string, string> {
  const directory = fileURLToPath(new URL("actions/", sourceDirectory));
  const found: Record<string, string> = {};
  for (const domain of readdirSync(directory)) {
    const index = `${directory}${domain}/index.ts`;
    if (!existsSync(index)) continue;
    for (const [, names = "", file = ""] of readFileSync(index, "utf8").matchAll(EXPORT))
      for (const name of names.split(", ")) found[name] = `actions/${domain}/${file}`;
  }
  return found;
}

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Build files by their paths below `src/` without `.ts`; each leaves the files it imports outside. */
async function buildModules(
  ids: readonly string[],
  sourceDirectory: string,
  minify: Minify | undefined,
): Promise<Record<string, ActionModule>> {
  const root = fileURLToPath(new URL("..", sourceDirectory));
  const { metafile, outputFiles } = await build({
    entryPoints: ids.map((id) => ({ in: id, out: id })),
    absWorkingDir: root,
    outdir: root,
    bundle: true,
    write: false,
    minify: true,
    metafile: true,
    platform: "node",
    format: "esm",
    target: "node18",
    plugins: [await fromRunner(sourceDirectory, "module"), WITHOUT_DOCUMENTATION],
    legalComments: "none",
    charset: "utf8",
    logLevel: "silent",
  });
  const built = Object.entries(metafile.outputs).map(async ([path, { entryPoint, imports }], index) => {
    refuseForbidden(metafile, entryPoint!, true);
    const needs = imports.map((each) => each.path).filter((each) => /^[^:]+\//.test(each));
    const text = asFunction(outputFiles[index]!.text, path);
    const code = minify === undefined ? text : await minifyFunction(text, minify);
    return [path.replace(/\.js$/, ""), { code, needs: [...new Set(needs)].sort() }] as const;
  });
  return Object.fromEntries(await Promise.all(built));
}

const IMPORT = /^import(?:\*as ([\w$]+) from|\{([^}]*)\}from|([\w$]+) from|)\s*"([^"]+)";\s*/;
const EXPORTS = /export\{([^}]*)\};?\s*$/;

/** The name of a module's only parameter; no source uses it. */
const REQUIRE = "requireVolley";

/** Turn a module as esbuild minifies it, imports first and exports last, into a function. */
function asFunction(module: string, path: string): string {
  let rest = module;
  let head = "";
  for (let found = IMPORT.exec(rest); found !== null; found = IMPORT.exec(rest)) {
    const [all, whole, names, standard, from] = found;
    const bound = whole ?? standard ?? (names === undefined ? undefined : `{${asProperties(names)}}`);
    if (bound !== undefined) head += `const ${bound}=${REQUIRE}(${JSON.stringify(from)});`;
    rest = rest.slice(all.length);
  }
  const exported = EXPORTS.exec(rest);
  if (exported === null || /^import\b/.test(rest))
    throw new Error(`${path}: esbuild wrote a module in an unknown form: ${rest.slice(0, 80)}`);
  const properties = exported[1]!
    .split(",")
    .map((one) => one.split(" as "))
    .map(([inside, outside]) => (outside === undefined ? inside : `${outside}:${inside}`));
  return `${REQUIRE}=>{${head}${rest.slice(0, exported.index)}return{${properties.join(",")}}}`;
}

/** `a as b,c`, as imports have it, in a destructuring. */
function asProperties(names: string): string {
  return names.replaceAll(" as ", ":");
}

async function minifyFunction(text: string, minify: Minify): Promise<string> {
  const { code } = await minify(`(${text})`, MINIFY);
  return code!.replace(/;$/, "");
}

/** The documentation of an action, where every action has it. */
const DOCUMENTATION = /^ {2}doc:\s+(?:`(?:\\[\s\S]|[^`\\])*`|"(?:\\.|[^"\\])*"),$/m;

/** The documentation of a parameter: sentences that begin with a capital letter, as no message of an action does. */
const PARAMETER_DOCUMENTATION =
  /"[A-Z`](?:\\.|[^"\\\n])*\.`?"(?=[,)\s])|'[A-Z`](?:\\.|[^'\\\n])*\.'(?=[,;)\s])/g;

/** The examples of an action, where every action has them. */
const EXAMPLES = /^ {2}examples: (?:\[[^\n]*\]|\[\n[\s\S]*?\n {2}\]),$/m;

/** Leave out the actions' documentation, which `volley doc` shows: hosts do not need it. */
const WITHOUT_DOCUMENTATION: Plugin = {
  name: "without-documentation",
  setup: ({ onLoad }) => {
    onLoad({ filter: /[\\/]src[\\/]actions[\\/](?:[\w-]+[\\/])*[\w-]+\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8"))
        .replace(DOCUMENTATION, '  doc: "",')
        .replace(EXAMPLES, "")
        .replace(PARAMETER_DOCUMENTATION, '""'),
      loader: "ts",
    }));
  },
};
