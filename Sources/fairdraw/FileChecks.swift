import Foundation

/// What `fairdraw doctor` asks of the data folder: who may read what is in it, and whether there is space.
struct FileChecks {
  /// Below this the disk is full soon; below a tenth of it, draws may fail at any moment.
  private static let spaceNeeded: UInt64 = 1 << 30

  let folder: URL
  let keyFile: URL

  func run(_ diagnosis: inout Diagnosis) throws {
    var status = stat()
    guard stat(folder.path, &status) == 0 else {
      return try diagnosis.add(
        .warning, "data folder", "there is none at \(folder.path) yet: the server creates it at its first start")
    }
    guard access(folder.path, R_OK | W_OK | X_OK) == 0 else {
      return try diagnosis.add(
        .wrong, "data folder", "this user may not use \(folder.path): run the command as the server's user, or as root")
    }
    let owner = status.st_uid
    try check(folder, "data folder", owner: owner, mode: "700", &diagnosis)
    try check(keyFile, "master key", owner: owner, mode: "600", &diagnosis)
    for file in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    where file.lastPathComponent.contains(/\.db(-wal|-shm)?$|\.checkpoint$/) {
      try check(file, "file", owner: owner, mode: "600", &diagnosis)
    }
    try checkSpace(&diagnosis)
  }

  private func check(_ file: URL, _ what: String, owner: uid_t, mode: String, _ diagnosis: inout Diagnosis) throws {
    var status = stat()
    guard stat(file.path, &status) == 0 else { return }
    let found = String(status.st_mode & 0o777, radix: 8)
    if status.st_mode & 0o077 != 0 {
      try diagnosis.add(
        .warning, what, "\(file.path) has mode \(found), so other users can use it: chmod \(mode) \(file.path)")
    } else if status.st_uid != owner {
      try diagnosis.add(
        .wrong, what,
        "\(file.path) belongs to another user than its folder, and the server may not be able to use it: "
          + "chown --reference=\(folder.path) \(file.path)")
    } else {
      try diagnosis.add(.ok, what, "\(file.path), mode \(found)")
    }
  }

  /// How many bytes may be written to the disk of a folder; nil if it does not say.
  static func freeSpace(at folder: URL) -> UInt64? {
    var disk = statvfs()
    guard statvfs(folder.path, &disk) == 0 else { return nil }
    return UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
  }

  private func checkSpace(_ diagnosis: inout Diagnosis) throws {
    guard let free = Self.freeSpace(at: folder) else { return }
    let text = "\(free >> 20) MiB are free at \(folder.path)"
    if free >= Self.spaceNeeded {
      try diagnosis.add(.ok, "disk space", text)
    } else {
      try diagnosis.add(free < Self.spaceNeeded / 10 ? .wrong : .warning, "disk space", "\(text): make room")
    }
  }
}
