import { VolleyError } from "./errors.ts";

/** What is at a path itself: its owner, and where it leads when it is a link. */
export interface Seen {
  readonly uid: number;
  readonly link?: string;
}

const MAX_LINKS = 40;

/**
 * Resolves a path for root, who must not be sent elsewhere by another user: a link of another user's is followed only
 * to what is that user's too. Yields each path to be looked at, takes what is there (null: nothing), and returns the
 * real path; of a path that does not exist, the directory that does must be the user's. Fails with `FILE_FAILED`.
 */
export function* resolveForRoot(path: string): Generator<string, string, Seen | null> {
  const left = path.split("/").filter(Boolean);
  let at = "";
  let owner = 0;
  let foreign: { readonly path: string; readonly uid: number } | undefined;
  for (let links = 0; left.length > 0; ) {
    const name = left.shift();
    if (name === ".") continue;
    if (name === "..") {
      at = at.slice(0, Math.max(0, at.lastIndexOf("/")));
      owner = (yield at || "/")?.uid ?? 0;
      continue;
    }
    const next = `${at}/${name}`;
    const seen = yield next;
    if (seen?.link === undefined) {
      at = next;
      if (seen === null) {
        at = [next, ...left].join("/");
        break;
      }
      owner = seen.uid;
      continue;
    }
    if (++links > MAX_LINKS)
      throw new VolleyError("FILE_FAILED", `cannot resolve ${path}: too many symbolic links`);
    if (foreign !== undefined && foreign.uid !== seen.uid) throw refusal(foreign, next);
    if (seen.uid !== 0) foreign = { path: next, uid: seen.uid };
    left.unshift(...seen.link.split("/").filter(Boolean));
    if (seen.link.startsWith("/")) at = "";
  }
  if (foreign !== undefined && foreign.uid !== owner) throw refusal(foreign, at);
  return at || "/";
}

function refusal({ path, uid }: { readonly path: string; readonly uid: number }, to: string): VolleyError {
  return new VolleyError(
    "FILE_FAILED",
    `root does not follow ${path}: it is a link of the user with uid ${uid}, and ${to} is not that user's`,
    { hint: "name the path itself that is meant, remove the link, or become that user for the task" },
  );
}
