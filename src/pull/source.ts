import { statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { printable, VolleyError } from "../core/errors.ts";
import { HIDDEN, isWebProtocol, shownUrl } from "../core/shown-url.ts";

// The places that bundles are pulled from: a URL, a file, or a git repository that holds one.

/** The place of a bundle. */
export type Source = UrlSource | FileSource | GitSource;

interface Place {
  /** The source as messages show it, without a login and without the values of a query. */
  readonly shown: string;
  /** The source in the form that tells it from others. */
  readonly key: string;
}

export interface UrlSource extends Place {
  readonly kind: "url";
  readonly url: URL;
}

export interface FileSource extends Place {
  readonly kind: "file";
  /** An absolute path. */
  readonly path: string;
}

export interface GitSource extends Place {
  readonly kind: "git";
  /** The repository as git takes it. */
  readonly repository: string;
  /** A branch, a tag or a commit; undefined for the repository's own branch. */
  readonly ref: string | undefined;
  /** The bundle's path in the repository. */
  readonly path: string;
}

/** The bundle's path in a repository where the source names none. */
const DEFAULT_PATH = "site.run";
const REF = /^[\p{L}\p{N}_](?:[\p{L}\p{N}_/+@-]|\.(?!\.))*$/u;
/** As git has it, `user@host:path`. */
const SCP_LIKE = /^[\w.-]+@[\w.-]+:(?!\/\/)/;
const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;

/**
 * Read the text that names a source: an `https`, `http` or `file` URL, a path, or a git repository: `git+URL`,
 * `user@host:path`, `ssh://…`, or what ends in `.git`; behind it `#ref:path` says where in the repository the bundle is.
 * Fails with `USAGE`.
 */
export function parseSource(text: string, cwd: string): Source {
  if (/^-|^\s*$|\p{Cc}/u.test(text)) throw usage(`"${printable(text, 300)}" is no place of a bundle`);
  const [place, ...rest] = text.split("#") as [string, ...string[]];
  const fragment = rest.length === 0 ? undefined : rest.join("#");
  const isGit = /^git\+|^ssh:\/\/|^git:\/\//i.test(place) || SCP_LIKE.test(place) || /\.git\/?$/i.test(place);
  if (isGit || isDirectory(place, cwd)) return gitSource(place.replace(/^git\+/i, ""), fragment, cwd);
  const scheme = SCHEME.exec(place)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    const path = resolve(cwd, text);
    return { kind: "file", path, shown: text, key: path };
  }
  const url = readUrl(text);
  if (scheme === "file") {
    const path = pathOf(url);
    return { kind: "file", path, shown: text, key: path };
  }
  if (scheme !== "https" && scheme !== "http")
    throw usage(`${shownUrl(url)} is of a kind that Volley cannot pull from`);
  if (fragment !== undefined)
    throw usage(`#${fragment} says where in a git repository a bundle is: write git+${shownUrl(url)}`);
  return { kind: "url", url, shown: shownUrl(url), key: url.href };
}

function gitSource(place: string, fragment: string | undefined, cwd: string): GitSource {
  const { ref, path } = readFragment(fragment);
  const isPath = !SCHEME.test(place) && !SCP_LIKE.test(place);
  const repository = isPath ? resolve(cwd, place) : place;
  if (repository.startsWith("-")) throw usage(`${place} is no git repository`);
  const shown = SCHEME.test(repository) ? shownUrl(readUrl(repository)) : repository;
  const where = `#${ref ?? ""}:${path}`;
  return { kind: "git", repository, ref, path, shown: `${shown}${where}`, key: `git ${repository}${where}` };
}

function readFragment(fragment = ""): Pick<GitSource, "ref" | "path"> {
  const at = fragment.indexOf(":");
  const ref = at < 0 ? fragment : fragment.slice(0, at);
  const path = at < 0 ? DEFAULT_PATH : fragment.slice(at + 1);
  if (ref !== "" && !REF.test(ref)) throw usage(`"${ref}" is no branch, tag or commit`);
  if (path === "" || isAbsolute(path) || path.split("/").some((part) => part === ".." || part === ""))
    throw usage(`"${path}" is no path in a repository`);
  return { ref: ref === "" ? undefined : ref, path };
}

/** Return whether a source has a login in it, which whoever sees the source would learn. */
export function hasLogin(source: Source): boolean {
  const text = source.kind === "git" ? source.repository : source.key;
  if (!SCHEME.test(text)) return false;
  const { protocol, username, password } = readUrl(text);
  return password !== "" || (username !== "" && isWebProtocol(protocol));
}

function readUrl(text: string): URL {
  try {
    return new URL(text);
  } catch (cause) {
    const shown = text.replace(/\/\/.*@/, `//${HIDDEN}@`).replace(/\?.*/, `?${HIDDEN}`);
    throw usage(`${printable(shown, 300)} is no URL`, cause);
  }
}

function pathOf(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw usage(`${url.href} names no file of this machine`, cause);
  }
}

function isDirectory(place: string, cwd: string): boolean {
  return (
    !SCHEME.test(place) && statSync(resolve(cwd, place), { throwIfNoEntry: false })?.isDirectory() === true
  );
}

function usage(problem: string, cause?: unknown): VolleyError {
  return new VolleyError("USAGE", problem, {
    cause,
    hint: "a source is a URL or a path of a bundle, or git+URL#branch:path",
  });
}
