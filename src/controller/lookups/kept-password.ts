import { chmod, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeDirectories } from "../../system/directories.ts";
import { makePassword, type PasswordOptions } from "../../template/more/make-password.ts";

/** Return the password that a file keeps, and make the file where there is none; hashed if the options say so. */
export async function keptPassword(path: string, options: PasswordOptions): Promise<string> {
  const kept = await readKept(path);
  const { clear, salt, text } = makePassword(options, kept);
  if (kept.clear === undefined || (salt !== undefined && kept.salt === undefined))
    await write(path, salt === undefined ? `${clear}\n` : `${clear} salt=${salt}\n`);
  return text;
}

async function readKept(path: string): Promise<{ readonly clear?: string; readonly salt?: string }> {
  const content = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (content === undefined) return {};
  const line = content.trimEnd();
  const [, clear = line, salt] = /^(.*?) salt=(\S+)(?: ident=\S+)?$/s.exec(line) ?? [];
  return salt === undefined ? { clear } : { clear, salt };
}

async function write(path: string, content: string): Promise<void> {
  makeDirectories(dirname(path), 0o700);
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(content);
  } finally {
    await file.close();
  }
  await chmod(path, 0o600);
}
