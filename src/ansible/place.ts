import type { SourceLocation } from "../core/errors.ts";

// Places in the files of a playbook, as its tree holds them: `roles/web/tasks/main.yml:3:5`, relative to its directory.

/** Write a place as `file:line:column`. */
export function placeText({ file, line, column }: SourceLocation): string {
  return [file, line, column].filter((part) => part !== undefined).join(":");
}

/** Read a place that {@link placeText} wrote. */
export function locationOf(at: string): SourceLocation {
  const [, file = at, line, column] = /^(.*?)(?::(\d+))?(?::(\d+))?$/s.exec(at) ?? [];
  return {
    file,
    ...(line === undefined ? {} : { line: Number(line) }),
    ...(column === undefined ? {} : { column: Number(column) }),
  };
}
