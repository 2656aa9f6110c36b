export { package } from "./package.ts";
export { package_facts } from "./package-facts.ts";
export { pip } from "./pip.ts";
