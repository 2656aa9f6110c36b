import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CMDLINE, openBootPartition } from "../../src/image/boot-partition.ts";
import type { Payload } from "../../src/image/payload.ts";
import { preparePi } from "../../src/image/pi.ts";
import { addFirstRun, FIRST_RUN } from "../../src/image/pi-cmdline.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";
import { hasMtools, makeFatImage } from "./fat.ts";
import { somePayload } from "./payloads.ts";

const scratch = scratchDirectory();
const STOCK = "console=tty1 root=PARTUUID=4e639091-02 rootwait\n";
const MOVED = ["allowed_signers", "run.sh", "site.run", "verify.sh", "volley-first-boot.service"];

/** The card's boot partition as a directory, with the files of a system. */
function makeDirectory(
  files: Readonly<Record<string, string>> = { [CMDLINE]: STOCK, "config.txt": "x=1\n" },
): string {
  const directory = mkdtempSync(join(scratch(), "bootfs-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

function prepare(target: string, payload: Payload = somePayload()): ReturnType<typeof preparePi> {
  return preparePi(openBootPartition(target), payload, false);
}

describe("a boot partition that is mounted", () => {
  it("gets the payload, a script, and the line that starts the script", () => {
    const directory = makeDirectory();
    expect(prepare(directory)).toEqual({ hasOther: false });
    expect(readdirSync(directory).sort()).toEqual([CMDLINE, "config.txt", FIRST_RUN, "volley"].sort());
    expect(readdirSync(join(directory, "volley")).sort()).toEqual(MOVED);
    expect(readFileSync(join(directory, "volley/site.run")).equals(somePayload().bundle.bytes)).toBe(true);
    expect(readFileSync(join(directory, CMDLINE))).toEqual(addFirstRun(Buffer.from(STOCK)).content);
  });

  it("gets another payload in place of the first", () => {
    const directory = makeDirectory();
    prepare(directory);
    const before = readFileSync(join(directory, CMDLINE));
    prepare(directory, somePayload({ isSigned: false, content: "another bundle" }));
    expect(readFileSync(join(directory, "volley/site.run"), "utf8")).toBe("another bundle");
    expect(readdirSync(join(directory, "volley")).sort()).toEqual(["run.sh", "site.run", MOVED[4]]);
    expect(readFileSync(join(directory, CMDLINE))).toEqual(before);
  });

  it("never has the line of a script that is not there, when the card is pulled out amid another preparation", () => {
    const another = somePayload({ isSigned: false, content: "another bundle" });
    for (let isWhole = false, steps = 0; !isWhole; steps++) {
      const directory = makeDirectory();
      prepare(directory);
      const boot = openBootPartition(directory);
      let left = steps;
      const step = (change: () => void): void => {
        if (left-- <= 0) throw new Error("pulled out");
        change();
      };
      const pulledOut: typeof boot = {
        ...boot,
        write: (name, content) => step(() => boot.write(name, content)),
        remove: (name) => step(() => boot.remove(name)),
      };
      try {
        preparePi(pulledOut, another, false);
        isWhole = true;
      } catch (thrown) {
        expect((thrown as Error).message).toBe("pulled out");
      }
      const isStarted = boot.read(CMDLINE)!.includes(FIRST_RUN);
      if (steps > 0 || isWhole) expect(isStarted).toBe(isWhole);
      if (isStarted) for (const name of [FIRST_RUN, "volley/site.run"]) expect(boot.read(name)).toBeDefined();
    }
  });

  it("keeps another first run, and says so", () => {
    const theirs = `${STOCK.trimEnd()} systemd.run=/boot/firstrun.sh\n`;
    const directory = makeDirectory({ [CMDLINE]: theirs, "firstrun.sh": "theirs\n" });
    expect(prepare(directory)).toEqual({ hasOther: true });
    expect(prepare(directory)).toEqual({ hasOther: true });
    expect(readFileSync(join(directory, "firstrun.sh"), "utf8")).toBe("theirs\n");
  });

  it("is refused where it is none", () => {
    const directory = makeDirectory({ "config.txt": "x=1\n" });
    expect(() => prepare(directory)).toThrow("no boot partition of a Raspberry Pi: it has no cmdline.txt");
    expect(() => prepare(join(directory, "nowhere"))).toThrow("there is no such file");
  });

  it("has no half of a payload when a file cannot be written", () => {
    const directory = makeDirectory();
    // A name too long for any file system stands for a card that fails.
    const { files, ...payload } = somePayload();
    const broken = { ...payload, files: [...files, { ...files[0]!, name: "x".repeat(300) }] };
    expect(() => prepare(directory, broken)).toThrow(/cannot write .*xxx/);
    expect(readdirSync(directory).sort()).toEqual([CMDLINE, "config.txt"]);
    expect(readFileSync(join(directory, CMDLINE), "utf8")).toBe(STOCK);
  });
});

describe.skipIf(!hasMtools)("a boot partition in a disk image", () => {
  it("is found behind the partition table, and gets all of it", () => {
    const image = join(scratch(), "card.img");
    const offset = 1024 * 1024;
    makeFatImage(image, { [CMDLINE]: STOCK }, { megabytes: 8, offset });
    const table = Buffer.alloc(512);
    table[446 + 4] = 0x0c;
    table.writeUInt32LE(offset / 512, 446 + 8);
    table.writeUInt32LE((8 * 1024 * 1024) / 512, 446 + 12);
    table.write("\x55\xaa", 510, "latin1");
    const file = openSync(image, "r+");
    writeSync(file, table, 0, table.length, 0);
    closeSync(file);

    expect(prepare(image)).toEqual({ hasOther: false });
    const boot = openBootPartition(image);
    expect(boot.read(CMDLINE)).toEqual(addFirstRun(Buffer.from(STOCK)).content);
    expect(boot.read("volley/site.run")!.equals(somePayload().bundle.bytes)).toBe(true);
    expect(boot.read("volley/volley-first-boot.service")?.toString()).toContain("ExecStart=/bin/sh /var/lib");
    expect(boot.read(FIRST_RUN)?.toString()).toMatch(/^#!\/bin\/sh\n/);
    expect(prepare(image)).toEqual({ hasOther: false });
  });

  it("has its former files when there is no room", () => {
    const image = makeFatImage(join(scratch(), "full.img"), { [CMDLINE]: STOCK }, { megabytes: 1 });
    const payload = somePayload({ content: "x".repeat(1024 * 1024) });
    expect(() => prepare(image, payload)).toThrow(
      /cannot write volley\/site\.run into .*full\.img: .*[Nn]o (space|free)|[Ff]ull/,
    );
    const boot = openBootPartition(image);
    expect(boot.read(CMDLINE)?.toString()).toBe(STOCK);
    expect([boot.read("volley/site.run"), boot.read(FIRST_RUN)]).toEqual([undefined, undefined]);
  });

  it("is refused where there is none", () => {
    const image = makeFatImage(join(scratch(), "other.img"), { "config.txt": "x=1\n" }, { megabytes: 1 });
    expect(() => prepare(image)).toThrow("no FAT partition of it has a cmdline.txt");
    const text = join(scratch(), "text.img");
    writeFileSync(text, "no image\n");
    expect(() => prepare(text)).toThrow("is no disk image");
  });

  it("names mtools where it is missing", () => {
    const image = makeFatImage(join(scratch(), "tools.img"), { [CMDLINE]: STOCK }, { megabytes: 1 });
    const path = process.env.PATH;
    mkdirSync(join(scratch(), "nothing"));
    process.env.PATH = join(scratch(), "nothing");
    try {
      expect(() => prepare(image)).toThrow("mtools is needed to write into");
    } finally {
      process.env.PATH = path;
    }
  });
});
