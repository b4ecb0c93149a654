//! An API object of any kind, on its way through the verbs.

use std::any::Any;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Serialize;

/// An object whose kind is only known at run time. Code that cares for one kind asks for it:
/// `object.downcast_ref::<Pod>()`.
pub trait Object: Any + Debug + Send + Sync {
    /// Its metadata.
    fn meta(&self) -> &ObjectMeta;
    /// Its metadata, to be changed.
    fn meta_mut(&mut self) -> &mut ObjectMeta;
    /// The JSON encoding, `apiVersion` and `kind` included.
    fn json(&self) -> serde_json::Result<Vec<u8>>;
    /// Another like it.
    fn boxed_clone(&self) -> Box<dyn Object>;
    /// Becomes `with`, which is an object of the same kind.
    fn become_object(&mut self, with: Box<dyn Object>);
}

impl<T> Object for T
where
    T: Resource<DynamicType = ()> + Serialize + Clone + Debug + Any + Send + Sync,
{
    fn meta(&self) -> &ObjectMeta {
        Resource::meta(self)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        Resource::meta_mut(self)
    }

    fn json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    fn boxed_clone(&self) -> Box<dyn Object> {
        Box::new(self.clone())
    }

    fn become_object(&mut self, with: Box<dyn Object>) {
        let with: Box<dyn Any> = with;
        if let Ok(with) = with.downcast::<T>() {
            *self = *with;
        }
    }
}

impl dyn Object {
    /// This object as a `T`, if it is one.
    pub fn downcast_ref<T: Object>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }

    /// This object as a `T`, if it is one.
    pub fn downcast_mut<T: Object>(&mut self) -> Option<&mut T> {
        (self as &mut dyn Any).downcast_mut()
    }
}
