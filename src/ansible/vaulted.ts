import { messageOf, VolleyError } from "../core/errors.ts";
import type { Job } from "../core/protocol.ts";
import { Data, mapLeaves } from "../core/values/value.ts";
import type { Vars } from "../core/values/vars.ts";
import { Vaulted, type VaultedValue } from "../core/values/vaulted.ts";
import type { FileNode, PlaybookTree } from "./ir.ts";

// Values encrypted with Ansible Vault: the tree has marks in their places, and each Job brings the values.

/** A Job belongs to one playbook, whose plays share the tree. */
const filled = new WeakMap<Pick<Job, "vaulted">, PlaybookTree>();

/** Return the tree with the values of a Job in it. A text that the Job does not bring fails only the task that asks for it. */
export function fillTree(tree: PlaybookTree, job: Pick<Job, "vaulted">): PlaybookTree {
  if (tree.vaulted === undefined) return tree;
  const known = filled.get(job);
  if (known !== undefined) return known;
  const made: PlaybookTree = {
    ...tree,
    roles: fillVaulted(tree.roles, job.vaulted),
    tasks: fillFiles(tree.tasks, job.vaulted),
    vars: {
      ...fillFiles(tree.vars, job.vaulted),
      ...Object.fromEntries(
        Object.entries(tree.vaulted.files).map(([path, index]) => [
          path,
          fillFile({ content: new Vaulted(index, path) as unknown as Vars }, job.vaulted),
        ]),
      ),
    },
  };
  filled.set(job, made);
  return made;
}

function fillFiles<T>(
  files: Readonly<Record<string, FileNode<T>>>,
  values: readonly VaultedValue[] | undefined,
): Readonly<Record<string, FileNode<T>>> {
  return Object.fromEntries(Object.entries(files).map(([path, file]) => [path, fillFile(file, values)]));
}

function fillFile<T>(file: FileNode<T>, values: readonly VaultedValue[] | undefined): FileNode<T> {
  if ("error" in file) return file;
  try {
    const content = fillVaulted(file.content, values);
    return content === file.content ? file : { content };
  } catch (thrown) {
    return { error: messageOf(thrown) };
  }
}

/**
 * Put values in the places of their marks. A mark without a value fails with `SECRET_FAILED` where a template or task asks
 * for it; at once where the mark is the whole, of a file.
 */
export function fillVaulted<T>(value: T, values: readonly VaultedValue[] | undefined): T {
  return mapLeaves(value, (leaf) => {
    if (!(leaf instanceof Vaulted)) return leaf;
    const found = values?.[leaf.index] ?? {
      error: `${leaf.place} is encrypted with Ansible Vault and not among what this bundle holds: make it with -i and --with-secrets`,
    };
    if ("value" in found) {
      const text = found.value instanceof Data ? found.value.text : found.value;
      return typeof text === "string" ? new Data(text, true) : text;
    }
    const refuse = (): never => {
      throw new VolleyError("SECRET_FAILED", found.error);
    };
    return (value as unknown) === leaf
      ? refuse()
      : Object.defineProperty(new Data(""), "text", { get: refuse });
  }) as T;
}
