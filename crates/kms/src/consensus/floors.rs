//! All floors of a home.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use aws_lc_rs::digest;
use kms_secret::SecretBytes;

use crate::consensus::Binding;
use crate::consensus::Floor;
use crate::consensus::FloorName;
use crate::consensus::LastSigned;
use crate::consensus::Limits;
use crate::consensus::Position;
use crate::consensus::Refusal;
use crate::consensus::SlotsFault;
use crate::consensus::Turn;
use crate::consensus::slots::FloorKey;
use crate::consensus::slots::Slots;
use crate::consensus::turn::Held;
use crate::durable::Disk;
use crate::durable::DiskError;

/// The end of the names of the files.
const ENDING: &str = ".floor";

/// All floors of a home. `Sync`: each is locked for itself.
#[derive(Debug)]
pub struct Floors {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    machine: String,
    key: FloorKey,
    limits: Limits,
    /// The names of files that hold no floor.
    damaged: BTreeSet<String>,
    places: Mutex<Places>,
}

type Places = BTreeMap<FloorName, Arc<Mutex<Held>>>;

impl Floors {
    /// Reads all floors in `directory`, which is made if it is not there.
    ///
    /// A file that cannot be read as a floor is left alone: the key it would be of has no state.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        (store_key, machine): (&SecretBytes, Option<&str>),
        limits: Limits,
    ) -> Result<Self, DiskError> {
        disk.create_dir(&directory)?;
        let machine = machine.map(|id| {
            let id = format!("virtengine kms machine {}", id.trim());
            hex::encode(digest::digest(&digest::SHA256, id.as_bytes()))
        });
        let mut floors = Self {
            machine: machine.unwrap_or_default(),
            key: FloorKey::new(store_key),
            damaged: BTreeSet::new(),
            places: Mutex::default(),
            disk,
            directory,
            limits,
        };
        for name in floors.disk.list(&floors.directory)? {
            if name.ends_with(ENDING) && !floors.read(&name)? {
                floors.damaged.insert(name);
            }
        }
        Ok(floors)
    }

    /// Every floor that can be read.
    pub fn all(&self) -> Vec<Floor> {
        self.places().values().map(|held| lock(held).floor.clone()).collect()
    }

    /// Whether the floor of that name signs, and if not, why.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, name: &FloorName) -> Result<Floor, Refusal> {
        let held = self.held(name)?;
        let held = lock(&held);
        self.check_binding(&held)?;
        match &held.broken {
            Some(why) => Err(Refusal::NotWritten(why.clone())),
            None => Ok(held.floor.clone()),
        }
    }

    /// Does `work` with a turn at the floor of `name`, once nobody else has one.
    ///
    /// # Errors
    /// [`Refusal`], or that of `work`.
    pub fn with_turn<T, E: From<Refusal>>(
        &self,
        name: &FloorName,
        fingerprint: &str,
        work: impl FnOnce(Turn<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let held = self.held(name)?;
        let held = lock(&held);
        self.check_binding(&held)?;
        if held.floor.fingerprint != fingerprint {
            let FloorName { key, chain } = name.clone();
            return Err(Refusal::OtherKey { key, chain }.into());
        }
        work(Turn { held, key: &self.key, limits: self.limits })
    }

    /// Begins a floor: nothing at `position` or before it will be signed. Durable on return.
    ///
    /// # Errors
    /// [`Refusal::StateExists`], also for one that may not be used here; those of the disk.
    pub fn begin(&self, name: &FloorName, start: Floor) -> Result<(), Refusal> {
        let mut places = self.places();
        places.get(name).map_or(Ok(()), |held| Err(exists(held)))?;
        let path = self.directory.join(file_of(name));
        match self.disk.remove(&path) {
            Ok(()) | Err(DiskError::NotFound) => {} // what is there is no floor
            Err(error) => return Err(error.into()),
        }
        let slots = Slots::create(&*self.disk, &path)?;
        let binding = Binding { machine: self.machine.clone(), file: slots.identity() };
        let floor = Floor { binding, ..start };
        let mut held = Held::new(slots, floor.clone());
        held.write(floor, &self.key)?;
        places.insert(name.clone(), Arc::new(Mutex::new(held)));
        Ok(())
    }

    /// Refuses where there is a floor of that name, also one that may not be used here.
    ///
    /// # Errors
    /// [`Refusal::StateExists`].
    pub fn check_none(&self, name: &FloorName) -> Result<(), Refusal> {
        self.places().get(name).map_or(Ok(()), |held| Err(exists(held)))
    }

    /// Changes a floor by a person's word; durable on return. It is bound to this place from then
    /// on. The position never goes back.
    ///
    /// # Errors
    /// [`Refusal::Lowering`], [`Refusal::NoState`], [`Refusal::NotWritten`].
    pub fn change(
        &self,
        name: &FloorName,
        change: impl FnOnce(&mut Floor),
    ) -> Result<Floor, Refusal> {
        let held = self.held(name)?;
        let mut held = lock(&held);
        let mut next = held.floor.clone();
        change(&mut next);
        if next.position < held.floor.position {
            let (asked, signed) = (next.position.height, held.floor.position);
            return Err(Refusal::Lowering { asked, signed });
        }
        next.binding = Binding { machine: self.machine.clone(), file: held.slots.identity() };
        held.write(next.clone(), &self.key)?;
        Ok(next)
    }

    /// Raises a floor to what the log tells of, if that is later, without changing where it may be
    /// used. Says whether it was raised.
    ///
    /// # Errors
    /// [`Refusal::NotWritten`].
    pub(crate) fn raise_to(
        &self,
        name: &FloorName,
        told: (Position, Option<LastSigned>, u64),
    ) -> Result<bool, Refusal> {
        let (position, last, record) = told;
        let held = self.held(name)?;
        let mut held = lock(&held);
        if position <= held.floor.position {
            return Ok(false);
        }
        let next = Floor { position, last, record, ..held.floor.clone() };
        held.write(next, &self.key)?;
        Ok(true)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, name: &FloorName) -> Result<Arc<Mutex<Held>>, Refusal> {
        let FloorName { key, chain } = name.clone();
        match self.places().get(name) {
            Some(held) => Ok(Arc::clone(held)),
            None if self.damaged.contains(&file_of(name)) => Err(Refusal::Damaged { key, chain }),
            None => Err(Refusal::NoState { key, chain }),
        }
    }

    /// Reads a file; says whether a floor of that name is in it.
    fn read(&self, file: &str) -> Result<bool, DiskError> {
        let (slots, floor) = match Slots::open(&*self.disk, &self.directory.join(file), &self.key) {
            Ok(read) => read,
            Err(SlotsFault::Damaged) => return Ok(false),
            Err(SlotsFault::Disk(error)) => return Err(error),
        };
        let name = floor.name();
        if file_of(&name) != file {
            return Ok(false);
        }
        let held = Held::new(slots, floor);
        self.places().insert(name, Arc::new(Mutex::new(held)));
        Ok(true)
    }

    /// A floor that was copied, moved or put back is not this one.
    fn check_binding(&self, held: &Held) -> Result<(), Refusal> {
        let binding = &held.floor.binding;
        let why = if binding.machine != self.machine {
            "was written on another machine"
        } else if binding.file != held.slots.identity() {
            "was copied or put back"
        } else {
            return Ok(());
        };
        let Floor { key, chain, position, .. } = held.floor.clone();
        Err(Refusal::Elsewhere { key, chain, why, position })
    }
}

/// The name of a floor's file: the key's id and the beginning of the chain id's SHA-256, since a
/// chain id may hold a slash.
fn file_of(name: &FloorName) -> String {
    let chain = digest::digest(&digest::SHA256, name.chain.as_str().as_bytes());
    let chain = hex::encode(chain.as_ref().first_chunk::<8>().copied().unwrap_or_default());
    format!("{}-{chain}{ENDING}", name.key)
}

fn exists(held: &Mutex<Held>) -> Refusal {
    let Floor { key, chain, position, .. } = lock(held).floor.clone();
    Refusal::StateExists { key, chain, position }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
