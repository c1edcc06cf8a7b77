use std::fs;
use std::fs::File;
use std::io::PipeReader;
use std::io::Write;
use std::io::pipe;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::thread;

use tempfile::tempdir;

use super::*;

fn piped(bytes: &[u8]) -> PipeReader {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(bytes).unwrap();
    reader
}

#[test]
fn whole_input_is_read_up_to_the_limit_and_not_beyond() {
    for len in [0, 1, 4095, 4096, 4097, 10_000] {
        let bytes: Vec<u8> = (0..=255).cycle().take(len).collect();
        assert_eq!(read_secret(piped(&bytes), len).unwrap().expose(), bytes);
        assert_eq!(read_secret(piped(&bytes), usize::MAX).unwrap().expose(), bytes);
        if let Some(less) = len.checked_sub(1) {
            let error = read_secret(piped(&bytes), less).unwrap_err();
            assert!(matches!(error, ReadSecretError::TooLong { limit } if limit == less), "{len}");
        }
    }
}

#[test]
fn input_that_comes_in_pieces_is_one_secret() {
    let (reader, mut writer) = pipe().unwrap();
    let feeder = thread::spawn(move || {
        for piece in [b"ab".as_slice(), b"c", b"defg"] {
            writer.write_all(piece).unwrap();
            thread::yield_now();
        }
    });
    assert_eq!(read_secret(reader, 100).unwrap().expose(), b"abcdefg");
    feeder.join().unwrap();
}

#[test]
fn lines_are_read_one_by_one_and_the_rest_is_left() {
    let reader = piped(b"first\nsecond\r\n\nlast");
    assert_eq!(read_secret_line(&reader, 6).unwrap().expose(), b"first");
    assert_eq!(read_secret_line(&reader, 6).unwrap().expose(), b"second");
    assert_eq!(read_secret_line(&reader, 6).unwrap().expose(), b"");
    assert_eq!(read_secret_line(&reader, 6).unwrap().expose(), b"last");
    assert!(matches!(read_secret_line(&reader, 6), Err(ReadSecretError::Ended)));
}

#[test]
fn line_longer_than_the_limit_is_refused() {
    for text in [b"1234567\n".as_slice(), b"1234567\r\n", b"1234567", b"123456789\n"] {
        let error = read_secret_line(piped(text), 6).unwrap_err();
        assert!(matches!(error, ReadSecretError::TooLong { limit: 6 }), "{text:?}");
    }
    let long = vec![b'x'; 5000];
    assert_eq!(read_secret_line(piped(&long), 5000).unwrap().expose(), long);
}

#[test]
fn unreadable_descriptor_is_an_error() {
    let (_reader, writer) = pipe().unwrap();
    assert!(matches!(read_secret(&writer, 10), Err(ReadSecretError::Read { .. })));
    assert!(matches!(read_secret_line(&writer, 10), Err(ReadSecretError::Read { .. })));
}

#[test]
fn file_is_read_without_its_last_newline() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("passphrase");
    let cases: [(&[u8], &[u8]); 6] = [
        (b"secret\n", b"secret"),
        (b"secret\r\n", b"secret"),
        (b"secret", b"secret"),
        (b"secret\n\n", b"secret\n"),
        (b"secret\r", b"secret\r"),
        (b"\n", b""),
    ];
    for (content, expected) in cases {
        fs::write(&path, content).unwrap();
        assert_eq!(read_secret_file(&path, 7).unwrap().0.expose(), expected, "{content:?}");
    }
}

#[test]
fn file_longer_than_the_limit_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("passphrase");
    for content in [b"1234567".as_slice(), b"1234567\n", b"1234567\r\n", b"123456789abc"] {
        fs::write(&path, content).unwrap();
        let error = read_secret_file(&path, 6).unwrap_err();
        assert!(matches!(error, ReadSecretError::TooLong { limit: 6 }), "{content:?}");
    }
}

#[test]
fn file_open_to_others_is_read_and_reported() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("passphrase");
    fs::write(&path, "secret").unwrap();
    for (mode, wide_open) in [
        (0o600, false),
        (0o400, false),
        (0o644, true),
        (0o640, true),
        (0o602, true),
        (0o700, false),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let (secret, exposure) = read_secret_file(&path, 6).unwrap();
        assert_eq!(secret.expose(), b"secret");
        assert_eq!(exposure, FileExposure { wide_open, mode });
    }
}

#[test]
fn symbolic_link_is_refused_even_if_its_target_is_fine() {
    let dir = tempdir().unwrap();
    let (path, link) = (dir.path().join("passphrase"), dir.path().join("link"));
    fs::write(&path, "secret").unwrap();
    symlink(&path, &link).unwrap();
    let error = read_secret_file(&link, 6).unwrap_err();
    assert!(matches!(&error, ReadSecretError::SymbolicLink { path } if *path == link));
    let expected = "is a symbolic link, expected a file: name the link's target";
    assert_eq!(error.to_string(), format!("{}: {expected}", link.display()));
}

#[test]
fn link_in_the_middle_of_the_path_is_followed() {
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    fs::write(dir.path().join("real/passphrase"), "secret").unwrap();
    symlink("real", dir.path().join("current")).unwrap();
    let (secret, _) = read_secret_file(&dir.path().join("current/passphrase"), 6).unwrap();
    assert_eq!(secret.expose(), b"secret");
}

#[test]
fn directory_device_and_socket_are_refused_by_name() {
    let dir = tempdir().unwrap();
    let socket = dir.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for (path, expected) in [
        (dir.path(), "directory"),
        (Path::new("/dev/zero"), "character device"),
        (&socket, "socket"),
    ] {
        let error = read_secret_file(path, 6).unwrap_err();
        assert!(matches!(error, ReadSecretError::NotAFile { kind, .. } if kind == expected));
    }
}

#[test]
fn missing_file_is_an_error_with_its_name() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("nowhere");
    let error = read_secret_file(&path, 6).unwrap_err();
    assert!(matches!(&error, ReadSecretError::Open { source, .. }
        if source.kind() == io::ErrorKind::NotFound));
    assert!(error.to_string().starts_with(&format!("{}: cannot be opened: ", path.display())));
}

#[test]
fn descriptor_path_of_a_shell_substitution_is_read() {
    for folder in ["/dev/fd", "/proc/self/fd"] {
        let reader = piped(b"secret\n");
        let path = PathBuf::from(format!("{folder}/{}", reader.as_raw_fd()));
        let (secret, exposure) = read_secret_file(&path, 6).unwrap();
        assert_eq!(secret.expose(), b"secret");
        assert_eq!(exposure, FileExposure { wide_open: false, mode: 0 });
    }
    let device = File::open("/dev/zero").unwrap();
    let path = PathBuf::from(format!("/dev/fd/{}", device.as_raw_fd()));
    let error = read_secret_file(&path, 6).unwrap_err();
    assert!(matches!(error, ReadSecretError::NotAFile { kind: "character device", .. }));
    let error = read_secret_file(Path::new("/dev/fd/1000000"), 6).unwrap_err();
    assert!(matches!(error, ReadSecretError::Open { .. }));
}

#[test]
fn only_digits_name_a_descriptor() {
    assert_eq!(descriptor_number(Path::new("/dev/stdin")), Some(0));
    assert_eq!(descriptor_number(Path::new("/dev/fd/63")), Some(63));
    for path in ["/dev/fd/", "/dev/fd/+1", "/dev/fd/1/x", "/dev/fd/../mem", "/dev/fd/99999999999"] {
        assert_eq!(descriptor_number(Path::new(path)), None, "{path}");
    }
}

#[test]
fn named_pipe_is_read() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("fifo");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let writer = {
        let path = path.clone();
        thread::spawn(move || fs::write(path, "secret\n").unwrap())
    };
    assert_eq!(read_secret_file(&path, 6).unwrap().0.expose(), b"secret");
    writer.join().unwrap();
}

#[test]
fn taking_back_a_character_takes_all_its_bytes() {
    let mut line = Line::new(10);
    for byte in "aé€".bytes() {
        line.push(&SecretBytes::copy_from(&[byte])).unwrap();
    }
    line.pop_char();
    assert_eq!(line.len, "aé".len());
    line.pop_char();
    line.pop_char();
    line.pop_char();
    assert!(line.is_empty());
    assert!(line.finish().is_empty());
}
