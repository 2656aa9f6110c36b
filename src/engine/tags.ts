/** What `--tags` and `--skip-tags` say. */
export interface TagSelection {
  readonly tags: readonly string[];
  readonly skipTags: readonly string[];
}

/** One tag, several, or none, as a list. */
export function tagList(tags: string | readonly string[] | undefined): readonly string[] {
  return tags === undefined ? [] : typeof tags === "string" ? [tags] : tags;
}

/**
 * Whether a task with these tags (its role's and its play's among them) is wanted. As in Ansible `always` is wanted
 * unless it is skipped by name, `never` only when asked for by one of its other tags, and `tagged`, `untagged` and
 * `all` may stand for what they say.
 */
export function isWanted(tags: readonly string[], { tags: only, skipTags }: TagSelection): boolean {
  const names = (name: string): boolean =>
    tags.includes(name) ||
    (name === "all" && !tags.includes("never")) ||
    (name === "tagged" && tags.length > 0 && !tags.includes("never")) ||
    (name === "untagged" && tags.length === 0);
  if (skipTags.some(names)) return false;
  if (only.length > 0) return only.some(names) || tags.includes("always");
  return !tags.includes("never");
}
