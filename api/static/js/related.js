// Rings that share accounts with the one that is shown.

import { element } from "./element.js";
import { counted, visible } from "./text.js";

/** A line for each of a `RingDetail`'s related rings: how much they share, and who was told. */
export function relatives({ account_count: accounts, related }) {
  return related.map(({ ring, shared_accounts: shared }) =>
    element(
      "li",
      {},
      `Shares ${shared} of ${counted(accounts, "account")} with `,
      element("a", { href: `#ring=${ring.ring_id}` }, visible(ring.headline)),
      ring.last_alert_at === null ? ", which was not told" : ", which was alerted",
    ),
  );
}
