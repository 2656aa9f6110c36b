import { createRequire } from "node:module";
import { dirname, relative, resolve, sep } from "node:path";
import type { BuildFailure, BuildResult, Message, Plugin } from "esbuild";
import { VolleyError } from "../core/errors.ts";
import { refuseForbidden } from "./forbidden.ts";

/** A TypeScript file and all it imports, as one CommonJS module that requires only `volley` and Node's own modules. */
export interface Compiled {
  readonly code: string;
  /** Source map of `code`, as JSON; it stays on the controller. */
  readonly map: string;
  /** Every file that went in, as absolute paths. */
  readonly inputs: readonly string[];
  /** The directories of the files that define roles and plays, by the name their assets have in the bundle. */
  readonly directories: Readonly<Record<string, string>>;
}

const SELF = "volley-self";

/** Compiles a playbook or an inventory. Fails with `BUILD_FAILED` (and file and line) or `BUNDLE_FORBIDDEN`. */
export async function compile(entry: string, projectDirectory: string): Promise<Compiled> {
  const { build } = await import("esbuild");
  const directories: Record<string, string> = {};
  let result: BuildResult<{ write: false; metafile: true }>;
  try {
    result = await build({
      entryPoints: [entry],
      absWorkingDir: projectDirectory,
      bundle: true,
      write: false,
      metafile: true,
      minifyWhitespace: true,
      minifySyntax: true,
      platform: "node",
      // Read as nothing here, so that the refusal of them can name the chain of imports.
      loader: { ".node": "empty" },
      format: "cjs",
      target: "node18",
      sourcemap: "external",
      sourcesContent: false,
      legalComments: "none",
      charset: "utf8",
      outfile: resolve(projectDirectory, "playbook.js"),
      logLevel: "silent",
      plugins: [volleyModule(projectDirectory, dirname(entry), directories)],
      // What a playbook shares with Volley, such as valibot, need not be installed beside it.
      nodePaths: createRequire(import.meta.url).resolve.paths("valibot") ?? [],
      tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    });
  } catch (thrown) {
    throw explainFailure(thrown);
  }
  refuseForbidden(result.metafile, relative(projectDirectory, entry).split(sep).join("/"), false);
  const text = (ending: string): string => result.outputFiles.find(({ path }) => path.endsWith(ending))!.text;
  return {
    code: text(".js"),
    map: text(".map"),
    inputs: Object.keys(result.metafile.inputs)
      .filter((input) => !input.startsWith(`${SELF}:`))
      .map((input) => resolve(projectDirectory, input)),
    directories,
  };
}

/**
 * `volley` is given at run time. Each file that imports it gets a module of its own, whose `defineRole` and its like
 * know the directory the file lies in: that is where the role's assets are.
 */
function volleyModule(
  projectDirectory: string,
  playbookDirectory: string,
  directories: Record<string, string>,
): Plugin {
  const nameDirectory = (directory: string): string => {
    const name = relative(playbookDirectory, directory).split(sep).map(nameSegment).join("/") || ".";
    directories[name] = directory;
    return name;
  };
  return {
    name: "volley",
    setup: ({ onResolve, onLoad }) => {
      onResolve({ filter: /^volley$/ }, ({ importer, namespace }) =>
        namespace === SELF
          ? { path: "volley", external: true }
          : { path: nameDirectory(dirname(importer)), namespace: SELF },
      );
      onResolve({ filter: /^volley\// }, ({ path }) => ({
        errors: [{ text: `"${path}" works only on the controller; a playbook imports from "volley"` }],
      }));
      onLoad({ filter: /.*/, namespace: SELF }, ({ path }) => ({
        resolveDir: projectDirectory,
        contents: `
          export * from "volley";
          import * as volley from "volley";
          const directory = ${JSON.stringify(path)};
          export const defineRole = (definition) => volley.defineRole(definition, directory);
          export const definePlay = (play) => volley.definePlay(play, directory);
          export const definePlaybook = (plays) => volley.definePlaybook(plays, directory);`,
      }));
    },
  };
}

/**
 * What a part of a role's path is called in the bundle: one outside the playbook's directory must not climb out of the
 * bundle's own tree, nor take the place of one inside that is called so.
 */
function nameSegment(segment: string): string {
  if (segment === "..") return "_";
  return /^_+$/.test(segment) ? `${segment}_` : segment;
}

function explainFailure(thrown: unknown): unknown {
  const errors: readonly Message[] | undefined = (thrown as Partial<BuildFailure>).errors;
  const [first] = errors ?? [];
  if (first === undefined) return thrown;
  const { location } = first;
  const text = first.text.startsWith("Top-level await")
    ? "a playbook cannot await at its top level: do it in a role's `tasks`, or read what you need without waiting"
    : first.text;
  const more = errors!.length > 1 ? ` (and ${errors!.length - 1} more)` : "";
  return new VolleyError("BUILD_FAILED", `${text}${more}`, {
    cause: thrown,
    ...(location === null
      ? {}
      : { location: { file: location.file, line: location.line, column: location.column + 1 } }),
  });
}
