import Accounts
import ArgumentParser

/// The setting `cell`. The database keeps the name, so keys carry it whoever makes them: the dashboard, a command without
/// the setting, another server of the database.
enum CellSetting {
  /// - Throws: a usage error if the setting is no name.
  static func name(_ given: String? = nil) throws -> CellName? {
    guard let text = Settings.text("cell", given) else { return nil }
    guard let cell = CellName(text) else {
      throw ValidationError("--cell (FAIRDRAW_CELL) must be \(CellName.rule), not \"\(text)\".")
    }
    return cell
  }

  /// The cell that a database is: the one that the setting names, from now on, or else the one that the database has kept.
  static func cell(of store: any Store, named setting: CellName?) async throws -> CellName? {
    guard let setting else { return try await store.cell() }
    try await store.setCell(setting)
    return setting
  }
}
