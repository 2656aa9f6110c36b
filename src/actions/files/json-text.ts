/** A value as JSON on one line with a space after `,` and `:`, byte for byte as Ansible writes a dictionary given as content. */
export function jsonText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonText).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return `{${entries.map(([key, item]) => `${jsonText(key)}: ${jsonText(item)}`).join(", ")}}`;
  }
  const text = JSON.stringify(value) ?? "null";
  // Python's json.dumps writes ASCII only.
  return text.replace(
    /[\u0080-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
