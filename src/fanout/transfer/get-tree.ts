import type { TransferContext } from "./context.ts";
import { each, FILES_AT_ONCE } from "./each.ts";
import { endsAll, localFailure } from "./failures.ts";
import { getFile, keepDirectory } from "./get-file.ts";
import { createLocalPlace } from "./local-place.ts";
import { type WalkOptions, walkRemoteTree } from "./remote-tree.ts";

/** Gets a tree from a host into a directory of its own. What fails for one file is in the tally; rejects with what ends it all. */
export async function getTree(context: TransferContext, options: WalkOptions, root: string): Promise<void> {
  const { tally, check, preserve } = context;
  const tree = await walkRemoteTree(context, options);
  const bytes = tree.files.reduce((sum, { attributes }) => sum + (attributes.size ?? 0), 0);
  tally.total(tree.files.length + tree.links.length, bytes);
  const place = createLocalPlace(root);
  const attempt = async (path: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (thrown) {
      const failure = localFailure(path, thrown);
      if (endsAll(thrown)) throw failure;
      tally.failed(path, failure);
    }
  };
  await attempt(root, async () => void (await place.makeDirectory("", check)));
  // In their order: those above come first.
  for (const { path, remote } of tree.directories) {
    await attempt(remote, async () => {
      if (await place.makeDirectory(path, check)) tally.done({ path: remote, action: "made", bytes: 0 });
    });
  }
  await each(tree.files, FILES_AT_ONCE, (entry) =>
    attempt(entry.remote, async () => {
      await tally.ready();
      const action = await getFile(context, entry, place);
      tally.done({ path: entry.remote, action, bytes: entry.attributes.size ?? 0 });
    }),
  );
  // Links come last: nothing is ever written through one.
  for (const { path, remote, target } of tree.links) {
    await attempt(remote, async () => {
      const wasNeeded = await place.makeLink(path, target, check);
      tally.done({ path: remote, action: wasNeeded ? "linked" : "unchanged", bytes: 0 });
    });
  }
  if (!preserve || check) return;
  for (const entry of [...tree.directories].reverse()) {
    if (entry.path === "") continue;
    await attempt(entry.remote, async () => keepDirectory(await place.resolve(entry.path), entry));
  }
}
