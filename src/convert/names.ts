// Names in Ansible's YAML as names in TypeScript.

const RESERVED = new Set(
  `abstract any arguments as async await boolean break case catch class const constructor continue debugger declare
  default delete do else enum eval export extends false finally for from function get if implements import in instanceof
  interface let module namespace never new null number object of package private protected public readonly require return
  set static string super switch symbol this throw true try type typeof undefined unknown var void while with yield`.split(
    /\s+/,
  ),
);

/** True for a word that no constant can have as its name. */
export function isReserved(name: string): boolean {
  return RESERVED.has(name);
}

/** Names that the code of a role has for other things. */
const CONTEXT = new Set("role error result item check facts vars host groups system".split(" "));

/** Return a name in camel case: `setup-Debian` is `setupDebian`. `taken` are names that others have. */
export function camelCase(name: string, taken: ReadonlySet<string>, suffix = "2"): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const joined = words
    .map((word, index) =>
      index === 0
        ? /^[A-Z0-9]+$/.test(word)
          ? word.toLowerCase()
          : word[0]!.toLowerCase() + word.slice(1)
        : word[0]!.toUpperCase() + word.slice(1),
    )
    .join("");
  let made = joined === "" ? "value" : /^\d/.test(joined) ? `_${joined}` : joined;
  if (RESERVED.has(made) || CONTEXT.has(made)) made += "Value";
  let unique = made;
  for (let count = 1; taken.has(unique); count++) unique = `${made}${count === 1 ? suffix : count}`;
  return unique;
}

/** Return a name in kebab case, for a file: `setup_Debian` is `setup-debian`. */
export function kebabCase(name: string): string {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
  return words.join("-") || "file";
}

/** Return the name of a role, in the letters that `defineRole` takes. */
export function roleName(name: string): string {
  return name.replace(/[^\w.-]+/g, "-").replace(/^-+|-+$/g, "") || "role";
}
