import * as volley from "../index.ts";
import type { BundleReader } from "./bundle-reader.ts";
import { main as start } from "./main.ts";

/** The runner of every bundle. */
export function main(bundle: BundleReader, argv: readonly string[]): void {
  start(bundle, argv, volley);
}
