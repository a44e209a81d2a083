"""The job image: built with its bill of materials, pushed to a repository of the account, named by its digest."""
