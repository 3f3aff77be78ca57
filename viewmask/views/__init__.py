"""Views: cameras, posed pictures, their backgrounds, and collections of them. Needs neither torch nor meshes."""
