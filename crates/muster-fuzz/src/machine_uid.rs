//! What a machine says it is.

use std::path::Path;

use muster_agent::machine_uid::{Sources, choose};
use muster_ids::UidSource;

/// Any content of the firmware's files gives a uid that parses, the same for the same machine however its vendor
/// writes a serial, from no source that says nothing, and no serial is printed.
pub fn machine_uid(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\u{1f}');
    let mut part = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
    let sources = Sources {
        product_uuid: part(),
        board_serial: part(),
        chassis_serial: part(),
        disk_serial: part(),
        machine_id: part(),
    };
    let given = part();
    let random = [7; 32];
    let uid = choose(&sources, given.as_deref(), &random);
    assert_eq!(uid.to_string().parse(), Ok(uid));
    assert_eq!(uid, choose(&sources, given.as_deref(), &random), "two uids of one machine");
    let is_given = given.as_deref().is_some_and(|given| !given.trim().is_empty());
    assert_eq!(uid.source() == UidSource::Given, is_given);
    let has = |source: &Option<String>| source.is_some();
    match uid.source() {
        UidSource::Smbios => assert!(has(&sources.product_uuid)),
        UidSource::Board => assert!(has(&sources.board_serial) || has(&sources.chassis_serial)),
        UidSource::Disk => assert!(has(&sources.disk_serial)),
        UidSource::Machine => assert!(has(&sources.machine_id)),
        UidSource::Given | UidSource::Random => {}
    }
    if !is_given {
        let upper = |source: &Option<String>| source.as_deref().map(str::to_ascii_uppercase);
        let shouted = Sources {
            product_uuid: upper(&sources.product_uuid),
            board_serial: upper(&sources.board_serial),
            chassis_serial: upper(&sources.chassis_serial),
            disk_serial: upper(&sources.disk_serial),
            machine_id: upper(&sources.machine_id),
        };
        assert_eq!(uid, choose(&shouted, None, &random), "upper case makes another machine");
    }
    let shown = format!("{sources:?}");
    for serial in [&sources.product_uuid, &sources.board_serial, &sources.disk_serial].into_iter().flatten() {
        assert!(serial.len() < 8 || !shown.contains(serial.as_str()), "a serial was printed");
    }
    let nothing = Sources::read(Path::new("/nonexistent"));
    assert_eq!(choose(&nothing, None, &random).source(), UidSource::Random);
}
