import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { VolleyError } from "../../core/errors.ts";
import { quote } from "../../core/unix/shell.ts";
import { writeReason } from "../../core/unix/user-file.ts";

// The files of a new project: their texts, and writing all of them or none.

/** Texts of files, by their path in the project. */
export type ProjectFiles = Readonly<Record<string, string>>;

/** Read the files of the quick start, but for `package.json`. */
export function starterFiles(): ProjectFiles {
  const root = starterDirectory();
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    names
      .filter((name) => statSync(join(root, name)).isFile())
      .map((name) => [name, readFileSync(join(root, name), "utf8")]),
  );
}

/** Find the folder of these files: beside this one in a checkout that runs from source, below dist in the package. */
function starterDirectory(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const found = ["../starter", "../../starter"]
    .map((path) => join(here, path))
    .find((path) => statSync(join(path, "site.ts"), { throwIfNoEntry: false }) !== undefined);
  if (found === undefined) throw new Error("the files of a new project are missing from this installation");
  return found;
}

interface Manifest {
  readonly name?: string;
  readonly type?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

function readManifest(file: string): Manifest | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Manifest;
  } catch {
    return undefined;
  }
}

/** Find Volley's own package: its directory and its manifest. */
function ownPackage(): { readonly directory: string; readonly manifest: Manifest } {
  const here = realpathSync(dirname(fileURLToPath(import.meta.url)));
  for (let directory = here; ; directory = dirname(directory)) {
    const manifest = readManifest(join(directory, "package.json"));
    if (manifest?.name === "volley") return { directory, manifest };
    if (directory === dirname(directory)) throw new Error("Volley's own package.json is missing");
  }
}

/**
 * Return how a project in `directory` names the Volley that runs now as a dependency: as the project in whose
 * node_modules it lies names it, such as a package file, else by its directory.
 */
function volleyDependency(directory: string): string {
  const { directory: own } = ownPackage();
  const parent = dirname(own);
  const host = basename(parent) === "node_modules" ? dirname(parent) : undefined;
  const manifest = host === undefined ? undefined : readManifest(join(host, "package.json"));
  const named = manifest?.dependencies?.volley ?? manifest?.devDependencies?.volley;
  if (named !== undefined && !named.startsWith("file:")) return named;
  const target = named === undefined ? own : resolve(host!, named.slice("file:".length));
  return `file:${relative(nearestReal(directory), target)}`;
}

/** Follow links of a path whose end may not be there yet. */
function nearestReal(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return dirname(path) === path ? path : join(nearestReal(dirname(path)), basename(path));
  }
}

/** The packages that a project needs of npm, each with its version or place. */
function dependenciesOf(directory: string): Required<Pick<Manifest, "dependencies" | "devDependencies">> {
  const { dependencies = {}, devDependencies = {} } = ownPackage().manifest;
  const of = (versions: Readonly<Record<string, string>>, name: string): string => versions[name] ?? "*";
  return {
    dependencies: { valibot: of(dependencies, "valibot"), volley: volleyDependency(directory) },
    devDependencies: {
      "@types/node": of(devDependencies, "@types/node"),
      typescript: of(devDependencies, "typescript"),
    },
  };
}

/** Write the `package.json` of a project in `directory`, an absolute path. */
export function manifestText(directory: string): string {
  const name = basename(directory)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+/, "");
  const manifest = {
    name: name === "" || name === "volley" ? "fleet" : name,
    private: true,
    type: "module",
    ...dependenciesOf(directory),
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** A command to give next, with its purpose. */
export type Step = readonly [command: string, purpose: string];

/** List the npm commands that a project's `package.json` needs to fit; none for one that was written here. */
export function manifestAdvice(directory: string): readonly Step[] {
  const manifest = readManifest(join(directory, "package.json")) ?? {};
  const { dependencies, devDependencies } = dependenciesOf(directory);
  const lacking = (packages: Readonly<Record<string, string>>): string =>
    Object.entries(packages)
      .filter(([name]) => !(name in { ...manifest.dependencies, ...manifest.devDependencies }))
      .map(([name, version]) => quote(version.startsWith("file:") ? version.slice("file:".length) : name))
      .join(" ");
  const [plain, forTypes] = [lacking(dependencies), lacking(devDependencies)];
  return [
    ...(manifest.type === "module"
      ? []
      : [["npm pkg set type=module", "the playbook is an ES module"] as const]),
    ...(plain === "" ? [] : [[`npm install ${plain}`, "packages that roles import"] as const]),
    ...(forTypes === ""
      ? []
      : [[`npm install --save-dev ${forTypes}`, "types for your editor and volley check"] as const]),
  ];
}

/** The state of a project's files before they are written. */
export interface ProjectState {
  readonly missing: readonly string[];
  /** Files that are there and differ. */
  readonly different: readonly string[];
}

/** Compare files with those that are there. Fails with `FILE_FAILED` for a directory that is no directory, or closed. */
export function compareProject(directory: string, files: ProjectFiles): ProjectState {
  const missing: string[] = [];
  const different: string[] = [];
  for (const [name, text] of Object.entries(files)) {
    const file = join(directory, name);
    try {
      if (lstatSync(file, { throwIfNoEntry: false }) === undefined) missing.push(name);
      else if (!statSync(file).isFile() || readFileSync(file, "utf8") !== text) different.push(name);
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code === "ENOENT") different.push(name);
      else
        throw new VolleyError("FILE_FAILED", `cannot write ${file}: ${writeReason(thrown)}`, {
          cause: thrown,
        });
    }
  }
  return { missing, different };
}

/** Write files below a directory, all of them or, after an error, none. Fails with `FILE_FAILED`; never replaces a file. */
export function writeProject(directory: string, files: ProjectFiles): void {
  const made: (() => void)[] = [];
  let at = directory;
  const makeDirectory = (path: string): void => {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
    if (dirname(path) !== path) makeDirectory(dirname(path));
    at = path;
    mkdirSync(path);
    made.push(() => rmdirSync(path));
  };
  try {
    makeDirectory(directory);
    for (const [name, text] of Object.entries(files)) {
      const file = join(directory, name);
      makeDirectory(dirname(file));
      at = file;
      const descriptor = openSync(file, "wx");
      made.push(() => rmSync(file));
      try {
        writeFileSync(descriptor, text);
      } finally {
        closeSync(descriptor);
      }
    }
  } catch (cause) {
    for (const undo of made.reverse()) undo();
    throw new VolleyError("FILE_FAILED", `cannot write ${at}: ${writeReason(cause)}`, {
      cause,
      hint: "nothing was written",
    });
  }
}
