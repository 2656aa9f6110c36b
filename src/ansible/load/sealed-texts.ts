import { Vaulted, type VaultedText } from "../../core/values/vaulted.ts";
import type { Seal } from "./read.ts";

/** The texts of a playbook that are encrypted with Ansible Vault, as they are met. */
export class SealedTexts {
  readonly texts: VaultedText[] = [];
  /** The files that are encrypted as a whole, by path, with the index of their text. */
  readonly files: Record<string, number> = {};
  /** True while files are read that a run may never come to. */
  #isLate = false;

  /** Keep an encrypted value, and return what stands for it. */
  readonly seal: Seal = (text, { file, line }) => {
    const index = this.#keep({ kind: "value", text, file, ...(line === undefined ? {} : { line }) });
    return new Vaulted(index, line === undefined ? file : `${file}:${line}`);
  };

  /** Keep a file that is encrypted as a whole. */
  keepFile(path: string, text: string): void {
    this.files[path] = this.#keep({ kind: "file", text, file: path });
  }

  #keep(text: Omit<VaultedText, "isLate">): number {
    return this.texts.push({ ...text, isLate: this.#isLate }) - 1;
  }

  /** Read a file by `work`, with all that it brings in: of a file that is not needed in any case, faults may never matter. */
  reading(isCertain: boolean, work: () => void): void {
    const before = this.#isLate;
    this.#isLate ||= !isCertain;
    try {
      work();
    } finally {
      this.#isLate = before;
    }
  }
}
