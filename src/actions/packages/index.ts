export { apk } from "./apk.ts";
export { npm } from "./npm.ts";
export { package } from "./package.ts";
export { package_facts } from "./package-facts.ts";
export { pacman } from "./pacman.ts";
export { pip } from "./pip.ts";
