export { apt } from "./apt.ts";
