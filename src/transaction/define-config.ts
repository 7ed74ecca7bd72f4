/**
 * `defineConfig`: the setting of a program, in a file that the command line reads, too.
 */
import type { AssentSetting, Definitions } from './create-assent.ts'

/**
 * Types the setting that a program gives to `createAssent` and that the command line `assent` finds in
 * `assent.config.ts` (or `.js`, `.mjs`): its default export. Returns it as it is.
 *
 * @example
 * ```ts
 * // assent.config.ts; the program calls createAssent(setting) with the same
 * import pg from 'pg'
 * import { defineConfig } from 'assent'
 * import { pg as pgParticipant } from 'assent/pg'
 *
 * const orders = new pg.Pool({ connectionString: process.env['ORDERS_URL'] })
 * const stock = new pg.Pool({ connectionString: process.env['STOCK_URL'] })
 * export default defineConfig({
 *   app: 'shop',
 *   participants: { orders: pgParticipant(orders), stock: pgParticipant(stock) },
 * })
 * ```
 */
export function defineConfig<const D extends Definitions>(
  setting: AssentSetting<D>,
): AssentSetting<D> {
  return setting
}
