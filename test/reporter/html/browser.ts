import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

/** Where Chromium is: `$CHROMIUM`, else one of Debian's and Ubuntu's places; undefined where there is none. */
export const CHROMIUM = (
  process.env.CHROMIUM === undefined
    ? ["/usr/bin/chromium", "/usr/bin/chromium-browser"]
    : [process.env.CHROMIUM]
).find((path) => existsSync(path));

/** Beside what keeps it from the network. */
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** An open page, with its requests and complaints. */
export interface OpenPage {
  readonly page: Page;
  /** The page's requests, beginning with the page itself. */
  readonly requests: readonly string[];
  /** The page's errors, and breaches of its policy. */
  readonly complaints: readonly string[];
}

/** A browser for one file of tests. */
export interface TestBrowser {
  /** Opens text as a file. */
  open(html: string, options?: BrowserContextOptions): Promise<OpenPage>;
  visit(url: string, options?: BrowserContextOptions): Promise<OpenPage>;
  close(): Promise<void>;
}

/** Starts Chromium without a window. */
export async function startBrowser(): Promise<TestBrowser> {
  const directory = mkdtempSync(join(tmpdir(), "volley-page-"));
  if (CHROMIUM === undefined) throw new Error("there is no Chromium");
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args: [...ARGUMENTS] });
  let nth = 0;
  const visit: TestBrowser["visit"] = async (url, options = {}) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    const requests: string[] = [];
    const complaints: string[] = [];
    page.on("request", (request) => requests.push(request.url()));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("dialog", (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    await page.goto(url);
    return { page, requests, complaints };
  };
  return {
    visit,
    open(html, options) {
      const file = join(directory, `page-${++nth}.html`);
      writeFileSync(file, html);
      return visit(pathToFileURL(file).href, options);
    },
    async close() {
      await browser.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly target: readonly unknown[]; readonly failureSummary?: string }[];
}

const RULES = {
  all: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
  contrast: { type: "rule", values: ["color-contrast"] },
};

/** The faults axe finds in a page by WCAG 2.1, level AA: a line each. Another theme changes contrasts alone. */
export async function accessibilityFaults(
  page: Page,
  rules: keyof typeof RULES = "all",
): Promise<readonly string[]> {
  if (!(await page.evaluate<boolean>(`"axe" in window`))) await page.evaluate(axe.source);
  const violations = await page.evaluate<readonly Violation[]>(
    `axe.run(document, { runOnly: ${JSON.stringify(RULES[rules])}, resultTypes: ["violations"] })
      .then(({ violations }) => violations)`,
  );
  return violations.flatMap(({ id, nodes }) =>
    nodes.slice(0, 3).map(({ target, failureSummary }) => `${id}: ${target.join(" ")}: ${failureSummary}`),
  );
}
